"""The small programs that start what outlives us: a machine's namespaces, its monitor, a Bastion host's process.

Each is a fresh interpreter that does one thing: a thread of the fabric process could neither unshare a user namespace
nor be forked safely. The monitor is a shell script: an interpreter's 9 MiB would be half of what a machine takes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from azlan.base import confine, linux
from azlan.machines import disk

_SOURCE = Path(__file__).resolve().parents[2]

# Exit status 129 of crun: the guest called reboot(2) to restart; 130: to power off. `stop` is there when the fabric
# process wants it off: a guest that restarts just then is not booted again. The root is the guest's own when it boots a
# second time: a link where crun mounts something would lead it out before pivot_root (CVE-2026-47766, CVE-2026-88264).
# Off it answers no ping, though the fabric process, which takes its namespace away, be down.
_MONITOR = """\
boots=$(cat "$STATE/boots" 2>/dev/null || echo 0)
while :; do
  if [ -n "$DELEGATED" ]; then
    mkdir -p "$DELEGATED"
    for f in "" /cgroup.procs /cgroup.threads /cgroup.subtree_control /tasks; do
      [ -e "$DELEGATED$f" ] && chown "$FIRST_ID:$FIRST_ID" "$DELEGATED$f"
    done
  fi
  for d in dev proc sys run; do
    if [ -L "$ROOT/$d" ] || [ ! -d "$ROOT/$d" ]; then
      rm -f "$ROOT/$d"
      mkdir "$ROOT/$d" && chown "$FIRST_ID:$FIRST_ID" "$ROOT/$d"
    fi
  done
  boots=$((boots + 1))
  echo "$boots" >"$STATE/boots.new" && mv "$STATE/boots.new" "$STATE/boots"
  rm -f "$RUN/pid"
  "$CRUN" --root "$CRUN_ROOT" --cgroup-manager cgroupfs run --bundle "$RUN" --pid-file "$RUN/pid" "$ID" \\
    </dev/null >/dev/null 2>"$RUN/crun.log"
  code=$?
  rm -f "$RUN/pid"
  "$CRUN" --root "$CRUN_ROOT" --cgroup-manager cgroupfs delete --force "$ID" >/dev/null 2>&1
  [ "$code" = 129 ] && [ ! -e "$RUN/stop" ] || break
done
nsenter --net="$NETWORK" ip link set group default down 2>/dev/null
echo "$code" >"$RUN/exit.new" && mv "$RUN/exit.new" "$RUN/exit"
"""


@dataclass(frozen=True)
class Namespaces:
    """Make a user namespace with ids from `first_id` and a network namespace that it owns, bound at two paths."""

    user: str
    network: str
    first_id: int
    count: int

    def run(self) -> None:
        Path(self.user).touch()
        Path(self.network).touch()
        ready, release = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            linux.prctl(linux.PR_SET_PDEATHSIG, 9)
            linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
            os.write(ready[1], b"x")
            os.read(release[0], 1)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            # By the guest's ids, hence from inside: every group may ping without a capability.
            Path("/proc/sys/net/ipv4/ping_group_range").write_text(f"0 {self.count - 1}")
            os.write(ready[1], b"x")
            os.read(release[0], 1)
            os._exit(0)
        os.close(ready[1])
        if os.read(ready[0], 1) != b"x":
            raise OSError("the user namespace could not be made")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text(f"0 {self.first_id} {self.count}")
        os.write(release[1], b"x")
        if os.read(ready[0], 1) != b"x":
            raise OSError("the network namespace could not be set up")
        linux.mount(f"/proc/{child}/ns/user", Path(self.user), "none", linux.MS_BIND)
        linux.mount(f"/proc/{child}/ns/net", Path(self.network), "none", linux.MS_BIND)
        os.write(release[1], b"x")
        os.waitpid(child, 0)


@dataclass(frozen=True)
class Guest:
    """Mount a machine's root in a mount namespace of its own and become its monitor there.

    `tree` is the image, `disk` the file with `upper` and `work` of the overlay, of `disk_gib` GiB; `resolv_conf` is put
    in place in the guest where it is given; `environment` is the monitor script's.
    """

    cgroups: tuple[str, ...]
    tree: str
    disk: str
    disk_gib: int
    first_id: int
    resolv_conf: str | None
    root: str
    user_namespace: str
    log: str
    environment: dict[str, str]
    hidden: str | None = None
    """A mount point to cover with an empty directory: the v2 cgroups where v1 ones are mounted too."""

    def run(self) -> None:
        _join(self.cgroups)
        _detach(self.log)
        linux.unshare(linux.CLONE_NEWNS)
        linux.keep_mounts()
        if self.hidden is not None:
            linux.unmount(Path(self.hidden))
            linux.mount("tmpfs", Path(self.hidden), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755,size=4k")
        root = Path(self.root)
        disk.attach(Path(self.disk), root, self.disk_gib)
        os.chdir(disk.mounted(root))  # the overlay's paths are relative: what is mounted over `root` does not hide them
        if self.resolv_conf is not None:
            try:
                disk.lay_resolv_conf(Path("upper"), self.resolv_conf, self.first_id)
            except OSError as error:  # the guest's own doing: it boots with what it has
                sys.stderr.write(f"the guest's resolv.conf cannot be written: {error}\n")
        linux.mount_idmapped(Path(self.tree), root, Path(self.user_namespace), linux.MOUNT_ATTR_RDONLY)
        linux.mount("overlay", root, "overlay", 0, f"lowerdir={root},upperdir=upper,workdir=work")
        os.chdir("/")
        os.execvpe("sh", ["sh", "-c", _MONITOR, f"azlan-{self.environment['ID']}"], self.environment)  # noqa: S606


@dataclass(frozen=True)
class Process:
    """Become a confined process in a machine's network namespace. Descriptors passed on reach it."""

    cgroups: tuple[str, ...]
    argv: tuple[str, ...]
    confinement: dict[str, Any]
    log: str
    environment: dict[str, str]

    def run(self) -> None:
        _join(self.cgroups)
        _detach(self.log)
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.confinement.items()}
        confine.enter(confine.Confinement(**fields))
        os.execve(self.argv[0], self.argv, self.environment)  # noqa: S606


_PROGRAMS: Mapping[str, type[Namespaces | Guest | Process]] = {c.__name__: c for c in (Namespaces, Guest, Process)}


def command(program: Namespaces | Guest | Process) -> list[str]:
    """The argument list that runs a program. It ends with status 0 once the program is set on its way; what is
    written to standard error says why it is not."""
    start = f"import sys; sys.path.insert(0, {str(_SOURCE)!r}); from azlan.machines.launch import main; main()"
    return [sys.executable, "-I", "-S", "-c", start, type(program).__name__, json.dumps(asdict(program))]


def main() -> None:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(sys.argv[2]).items()}
    _PROGRAMS[sys.argv[1]](**fields).run()


def _join(files: tuple[str, ...]) -> None:
    """Before anything else: from here on a fresh fabric process recognises us by our cgroup."""
    for file in files:
        Path(file).write_text(str(os.getpid()))


def _detach(log: str) -> None:
    """Become a child of PID 1 with no terminal; the one that was started exits."""
    if os.fork():
        os._exit(0)
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
