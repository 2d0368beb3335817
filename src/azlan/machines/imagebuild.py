"""One run of mmdebstrap, with progress, and what makes its tree boot as a machine in well under a second."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SILENCE = 180.0
"""Seconds without a line of output after which a build is given up: the archive has stopped answering."""

_PHASES = (
    # What mmdebstrap says when the phase begins, our words, and where it ends on a scale of 1 when it ran here:
    # apt-get update 5 s, download 4 s, extraction 17 s, essential packages 8 s, the others 24 s.
    ("I: running apt-get update", "reading the package lists", 0.08, 15),
    ("I: downloading packages", "downloading", 0.17, 240),
    ("I: extracting archives", "unpacking the base system", 0.45, 1),
    ("I: installing essential packages", "installing the base system", 0.59, 670),
    ("I: installing remaining packages", "installing packages", 0.98, 710),
    ("I: cleaning package lists", "cleaning up", 0.99, 2),
)

_OPTIONS = (
    "--mode=root",
    "--variant=minbase",
    "--format=directory",
    "--verbose",
    '--aptopt=Apt::Install-Recommends "false"',
    '--aptopt=Acquire::Retries "3"',
    '--aptopt=Acquire::http::Timeout "30"',
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)

_NO_MANUALS = "--dpkgopt=path-exclude=/usr/share/man/*"

_UNREACHABLE = (
    "Could not resolve",
    "Could not connect",
    "Connection failed",
    "Unable to connect",
    "Network is unreach",
)
_UNVERIFIED = (
    "NO_PUBKEY",
    "BADSIG",
    "EXPKEYSIG",
    "not signed",
    "signatures couldn't be verified",
    "signatures were invalid",
)


@dataclass(frozen=True)
class Mmdebstrap:
    """A build to run; `mirror` None means mmdebstrap's own default for the suite."""

    suite: str
    components: Sequence[str]
    packages: Sequence[str]
    keyring: Path
    mirror: str | None
    manuals: bool = False

    def argv(self, tree: Path) -> list[str]:
        return [
            "mmdebstrap",
            *_OPTIONS,
            *([] if self.manuals else [_NO_MANUALS]),
            f"--components={','.join(self.components)}",
            f"--include={','.join(self.packages)}",
            f"--keyring={self.keyring}",
            self.suite,
            str(tree),
            *([self.mirror] if self.mirror else []),
        ]

    def run(self, tree: Path, lock: int, progress: Callable[[float, str], None], failure: type[Exception]) -> None:
        """Make `tree`; raises `failure` with what to do. The process inherits the descriptor `lock`."""
        if shutil.which("mmdebstrap") is None:
            raise failure("mmdebstrap is missing, which builds the guest images: install the package mmdebstrap")
        process = subprocess.Popen(
            self.argv(tree),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        )
        last: deque[str] = deque(maxlen=40)
        at = Phases()
        try:
            for line in _lines(process, _SILENCE):
                last.append(line)
                progress(at.after(line), at.phase)
            process.wait(60)
        except TimeoutError:
            raise failure(
                f"{self._archive} has stopped answering while {at.phase}: try again later{self._hint}"
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            raise failure(self._explain("\n".join(last)))

    @property
    def _archive(self) -> str:
        return f"the archive {self.mirror}" if self.mirror else f"the archive of {self.suite}"

    @property
    def _hint(self) -> str:
        return (
            ", name another mirror (AZLAN_MIRROR_UBUNTU, AZLAN_MIRROR_DEBIAN), or import an image that was exported "
            "elsewhere with `azlan images import FILE`"
        )

    def _explain(self, output: str) -> str:
        if any(word in output for word in _UNVERIFIED):
            return f"{self._archive} is not signed by the keys in {self.keyring}: it is not used"
        if any(word in output for word in _UNREACHABLE):
            return f"{self._archive} is out of reach: check the network{self._hint}"
        errors = [line for line in output.splitlines() if line.startswith(("E:", "Err:"))] or output.splitlines()[-3:]
        return f"mmdebstrap could not build {self.suite}: {' / '.join(errors)[-600:]}"


class Phases:
    """Turns mmdebstrap's lines into a fraction that never goes back."""

    def __init__(self) -> None:
        self.phase = "starting"
        self._from = 0.0
        self._to = 0.0
        self._expected = 1
        self._lines = 0

    def after(self, line: str) -> float:
        for prefix, phase, end, expected in _PHASES:
            if line.startswith(prefix):
                self.phase, self._from, self._to, self._expected, self._lines = phase, self._to, end, expected, 0
        self._lines += 1
        return self._from + (self._to - self._from) * min(1.0, (self._lines - 1) / self._expected)


def _lines(process: subprocess.Popen[bytes], silence: float) -> Iterator[str]:
    """The output line by line until it ends; TimeoutError after `silence` seconds without any."""
    assert process.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        since = time.monotonic()
        while True:
            if selector.select(1.0):
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    return
                since = time.monotonic()
                *lines, rest = (rest + data).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            elif time.monotonic() - since > silence:
                raise TimeoutError


_MASKED = (
    # Hardware, disks and kernels are the computer's business; consoles there are none; the fabric sets the network.
    "systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service systemd-udevd-kernel.socket"
    " systemd-udevd-control.socket systemd-modules-load.service modprobe@.service kmod-static-nodes.service"
    " systemd-binfmt.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount"
    " sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount"
    " systemd-pstore.service systemd-random-seed.service systemd-boot-system-token.service systemd-firstboot.service"
    " systemd-machine-id-commit.service systemd-remount-fs.service systemd-hwdb-update.service"
    " systemd-timesyncd.service systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service"
    " systemd-resolved.service systemd-initctl.socket systemd-journald-audit.socket systemd-vconsole-setup.service"
    " systemd-ask-password-wall.path systemd-ask-password-console.path"
    " getty.target getty-static.service console-getty.service getty@.service serial-getty@.service"
    " apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer"
    " motd-news.timer man-db.timer logrotate.timer ssh.socket"
)

_FILES = {
    "etc/systemd/system.conf.d/50-azlan.conf": "[Manager]\nDefaultTimeoutStopSec=10s\nDefaultTimeoutStartSec=30s\n",
    "etc/systemd/journald.conf.d/50-azlan.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=4M\nAudit=no\nReadKMsg=no\n",
    "etc/systemd/logind.conf.d/50-azlan.conf": "[Login]\nNAutoVTs=0\nReserveVT=0\n",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/machine-id": "",
    "etc/hostname": "localhost\n",
}


def finish(tree: Path) -> None:
    """Turn what mmdebstrap made into an image: identity taken out, units that make no sense here masked."""
    units = tree / "etc/systemd/system"
    for name in _MASKED.split():
        unit = units / name
        unit.unlink(missing_ok=True)
        unit.symlink_to("/dev/null")
        for directory in units.glob("*.wants"):
            (directory / name).unlink(missing_ok=True)
    # Ubuntu 24.04 starts sshd by socket; one way for all, so that the banner is there when the machine is ready.
    shutil.rmtree(units / "ssh.service.requires", ignore_errors=True)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    service = wants / "ssh.service"
    service.unlink(missing_ok=True)
    service.symlink_to("/lib/systemd/system/ssh.service")
    for key in tree.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    for name, text in _FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").write_text("nameserver 168.63.129.16\n")
    sources = tree / "etc/apt/sources.list"
    if sources.is_file():
        # A mirror's own options name the host's files, which the guest does not have.
        lines = sources.read_text().splitlines()
        sources.write_text("".join(_without_options(line) + "\n" for line in lines))


def _without_options(line: str) -> str:
    head, bracket, rest = line.partition(" [")
    return f"{head} {rest.partition('] ')[2]}" if bracket else line
