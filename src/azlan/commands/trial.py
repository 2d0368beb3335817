"""`python -m azlan.commands.trial STATE IMAGES`: make, mount and write what a machine would, in namespaces of its own.

Both folders are where the trial's own are made, and removed again; all mounts go with the process. Ends with status 1 and
`step: why` on standard error where a step fails.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from azlan.base import linux
from azlan.machines import disk

_FIRST_ID, _IDS = 1_000_000_000, 65536


class TrialError(Exception):
    """A step that failed: its name and why."""


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrialError(f"{name}: {error}") from error


def attempt(state: Path, images: Path) -> None:
    """Raises TrialError. The calling process is in a mount namespace of its own afterwards."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.keep_mounts()
    with (
        tempfile.TemporaryDirectory(dir=state, prefix=".azlan-trial-", ignore_cleanup_errors=True) as made,
        tempfile.TemporaryDirectory(dir=images, prefix=".azlan-trial-", ignore_cleanup_errors=True) as tree,
    ):
        Path(tree, "there").touch()
        content, root, file = Path(made, "content"), Path(made, "root"), Path(made, disk.FILE)
        for folder in (content / "upper", content / "work", root):
            folder.mkdir(parents=True)
        with _step("disk"):
            disk.make(file, content, 1)
        try:
            with _step("loop device"):
                disk.attach(file, root, 1)
            with _user_namespace() as namespace, _step("shared image"):
                os.chdir(disk.mounted(root))
                linux.mount_idmapped(Path(tree), root, namespace, linux.MOUNT_ATTR_RDONLY)
            with _step("overlay"):
                _overlay(root)
        finally:
            os.chdir("/")
            for _ in range(4):  # overlay, image, disk and its cover, as far as they came
                with contextlib.suppress(OSError):
                    linux.unmount(root)


def _overlay(root: Path) -> None:
    options = f"lowerdir={root},upperdir=upper,workdir=work"
    linux.mount("overlay", root, "overlay", 0, options)
    if not (root / "there").exists():
        raise OSError("the image does not show through")
    (root / "written").write_text("x")


@contextlib.contextmanager
def _user_namespace() -> Iterator[Path]:
    """The namespace file of a child in a user namespace with ids of its own."""
    ready, release = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            linux.unshare(linux.CLONE_NEWUSER)
            os.write(ready[1], b"x")
        except OSError as error:
            os.write(ready[1], str(error).encode())
        os.read(release[0], 1)
        os._exit(0)
    try:
        with _step("user namespace"):
            said = os.read(ready[0], 400)
            if said != b"x":
                raise OSError(said.decode())
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{child}/{name}").write_text(f"0 {_FIRST_ID} {_IDS}")
        yield Path(f"/proc/{child}/ns/user")
    finally:
        os.write(release[1], b"x")
        os.waitpid(child, 0)


def main() -> None:
    try:
        attempt(Path(sys.argv[1]), Path(sys.argv[2]))
    except (TrialError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
