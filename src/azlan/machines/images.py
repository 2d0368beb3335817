"""Guest images: built once with mmdebstrap from the distribution's signed archive, then shared read-only by every machine.

An image is a root file system with ids from 0, `{cache}/{name}/{build}/tree`; machines see it through an idmapped
mount. The cache is closed to everyone but root: the trees hold set-uid programs of root's.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import IO

from azlan.machines.imagebuild import Mmdebstrap, finish

Progress = Callable[[float, str], None]
"""Called with a fraction from 0 to 1 and the phase in words, at least once a second while something moves."""

DEFAULT_CACHE = Path("/var/cache/azlan/images")
_MANIFEST = "image.json"
_TAR = ("--xattrs", "--xattrs-include=*", "--numeric-owner")
"""File capabilities (ping) are extended attributes."""


class ImageError(Exception):
    """An image that cannot be had; the message says why and what to do."""


class ImageNotFoundError(ImageError):
    """No image of that name is in the catalogue."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An image of the catalogue: where it comes from and what verifies it."""

    name: str
    title: str
    suite: str
    components: tuple[str, ...]
    mirror_variable: str
    """Environment variable that names another mirror of the archive."""
    keyring: str
    """File name in `keyrings/` here, or absolute path of the host's package `keyring_package`."""
    keyring_sha256: str | None = None
    keyring_package: str | None = None
    packages: tuple[str, ...] = ()
    when_used: bool = False
    """Built for the first machine made of it, or by its name, but not with all the others."""
    manuals: bool = False
    """Whether manual pages are unpacked, for a base system that cannot be installed without."""


_PACKAGES = (
    "apt systemd systemd-sysv dbus libpam-systemd openssh-server sudo passwd iputils-ping iputils-tracepath traceroute"
    " iproute2 curl netcat-openbsd tcpdump bind9-dnsutils vim-tiny nano ca-certificates bash-completion procps less"
    " python3 libnss-myhostname"
)

_BIONIC = _PACKAGES.replace("bind9-dnsutils", "dnsutils")  # the name that dig's package had


def _ubuntu(name: str, title: str, suite: str, *, packages: str = _PACKAGES, aged: bool = False) -> Source:
    """An image from Ubuntu's archive. One of an `aged` release, past its standard support, is built when it is used."""
    return Source(
        name=name,
        title=title,
        suite=suite,
        components=("main", "universe"),
        mirror_variable="AZLAN_MIRROR_UBUNTU",
        keyring="ubuntu-archive-keyring.gpg",
        # The file of Debian's package ubuntu-keyring 2023.11.28.1-0.2 and of Ubuntu's 2023.11.28.1: the same bytes.
        keyring_sha256="80a36b0a6de2f69f49d2df75ef473ccde121e9e190b9ea01d20a4f63778d5c31",
        packages=tuple(packages.split()),
        when_used=aged,
        manuals=aged,  # the installation of their dash moves the manual page of the shell
    )


CATALOGUE: dict[str, Source] = {
    source.name: source
    for source in (
        _ubuntu("ubuntu-18.04", "Ubuntu 18.04 LTS", "bionic", packages=_BIONIC, aged=True),
        _ubuntu("ubuntu-20.04", "Ubuntu 20.04 LTS", "focal", aged=True),
        _ubuntu("ubuntu-22.04", "Ubuntu 22.04 LTS", "jammy"),
        _ubuntu("ubuntu-24.04", "Ubuntu 24.04 LTS", "noble"),
        Source(
            name="debian-12",
            title="Debian 12",
            suite="bookworm",
            components=("main",),
            mirror_variable="AZLAN_MIRROR_DEBIAN",
            keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
            keyring_package="debian-archive-keyring",
            packages=tuple(_PACKAGES.split()),
        ),
    )
}


ALWAYS = tuple(name for name, source in CATALOGUE.items() if not source.when_used)
"""The images that are built where none is named."""


@dataclass(frozen=True)
class Image:
    """An image that is there. `build` names this very tree: a machine keeps to the build it was made from."""

    name: str
    build: str
    tree: Path
    built: float
    """Unix time."""
    size: int
    """Bytes on disk."""


@dataclass
class ImageStore:
    """The images in one cache directory. Every method blocks: call it from a thread of its own."""

    cache: Path = DEFAULT_CACHE
    mirrors: dict[str, str] = field(default_factory=dict)
    """Image name → mirror; wins over the environment variable of its `Source`."""

    def list(self) -> list[Image]:
        """The newest build of every image that is there, by name."""
        found = [self.find(p.name) for p in sorted(self.cache.glob("*")) if p.is_dir() and not p.name.startswith(".")]
        return [image for image in found if image is not None]

    def find(self, name: str, build: str | None = None) -> Image | None:
        """The newest build of an image, or that very build; None where it is not there."""
        manifests = sorted((self.cache / name).glob(f"{build or '*'}/{_MANIFEST}"))
        images = []
        for path in manifests:
            document = json.loads(path.read_text())
            images.append(
                Image(name, path.parent.name, path.parent / "tree", float(document["built"]), int(document["size"]))
            )
        return max(images, key=lambda image: image.built, default=None)

    def build(self, name: str, progress: Progress = lambda fraction, phase: None) -> Image:
        """The image, built now if it is not there. One builder at a time on this computer; the others wait for it.

        Raises ImageNotFoundError for a name outside the catalogue, ImageError with what to do for anything else.
        """
        source = CATALOGUE.get(name)
        image = self.find(name)
        if image is not None:
            return image
        if source is None:
            raise ImageNotFoundError(f"there is no image {name!r}; there are: {', '.join(CATALOGUE)}")
        with self._lock(name, progress) as lock:
            image = self.find(name)
            if image is not None:
                return image
            with self._partial(name) as partial:
                keyring = self._keyring(source)
                mirror = self.mirrors.get(name) or os.environ.get(source.mirror_variable)
                packages = Mmdebstrap(source.suite, source.components, source.packages, keyring, mirror, source.manuals)
                packages.run(partial / "tree", lock, progress, ImageError)
                finish(partial / "tree")
                progress(0.99, "measuring")
                image = self._land(name, partial, source.title)
        progress(1.0, "done")
        return image

    def export(self, name: str, path: Path, progress: Progress = lambda fraction, phase: None) -> None:
        """Write the image as one compressed file that `import_` takes on another computer."""
        image = self.find(name)
        if image is None:
            raise ImageError(f"image {name} is not there: build it first with `azlan images build {name}`")
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as out:
                archive = ["tar", *_TAR, "-C", str(image.tree.parent), "-c", _MANIFEST, "tree"]
                with _process(archive, stdout=subprocess.PIPE) as tar, _process(["gzip", "-3"], out) as gzip:
                    assert tar.stdout is not None
                    _copy(tar.stdout, gzip, image.size, lambda fraction: progress(fraction, "writing"))
            partial.replace(path)
        except OSError as error:
            raise ImageError(f"{path} cannot be written: {error}") from error
        finally:
            partial.unlink(missing_ok=True)
        progress(1.0, "done")

    def import_(self, path: Path, progress: Progress = lambda fraction, phase: None) -> Image:
        """Take an image that `export` wrote. A build of that name that is there already stays for its machines."""
        name = _exported_name(path)
        if name not in CATALOGUE:
            raise ImageNotFoundError(f"{path} holds the image {name!r}; this version knows {', '.join(CATALOGUE)}")
        try:
            with self._lock(name, progress), self._partial(name) as partial, path.open("rb") as source:
                with _process(["tar", *_TAR, "-C", str(partial), "-xzp", "tree"]) as tar:
                    _copy(source, tar, path.stat().st_size, lambda fraction: progress(fraction, "reading"))
                image = self._land(name, partial, CATALOGUE[name].title)
        except OSError as error:
            raise ImageError(f"{path} cannot be imported: {error}") from error
        progress(1.0, "done")
        return image

    def remove(self, name: str) -> None:
        """Remove every build of an image. Raises ImageError while a machine is made from it."""
        if self.find(name) is None:
            raise ImageError(f"image {name} is not there")
        with self._lock(name, lambda fraction, phase: None):
            for build in (self.cache / name).iterdir():
                users = self._users(build)
                if users:
                    raise ImageError(f"image {name} is in use by {len(users)} machine(s): delete them first")
                doomed = self.cache / f".removed-{secrets.token_hex(4)}"
                build.rename(doomed)
                shutil.rmtree(doomed)
            (self.cache / name).rmdir()

    def claim(self, image: Image, machine: Path) -> None:
        """Note that the machine whose directory is `machine` is made from the image, until that directory is gone."""
        claims = self.cache / image.name / image.build / "machines"
        claims.mkdir(exist_ok=True)
        (claims / hashlib.sha256(os.fsencode(machine)).hexdigest()[:16]).write_text(str(machine))

    def _users(self, build: Path) -> tuple[Path, ...]:
        users: tuple[Path, ...] = ()
        for claim in (build / "machines").glob("*"):
            machine = Path(claim.read_text())
            if machine.is_dir():
                users += (machine,)
            else:
                claim.unlink()
        return users

    @contextlib.contextmanager
    def _lock(self, name: str, progress: Progress) -> Iterator[int]:
        """Hold the image's lock; yields its descriptor, which a builder inherits so that it is held to its end."""
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            self.cache.chmod(0o700)
            lock = os.open(self.cache / f".lock-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ImageError(f"images cannot be kept in {self.cache}: {error}; run as root") from error
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    progress(0.0, "waiting for another build")
                    time.sleep(0.5)
            yield lock
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _partial(self, name: str) -> Iterator[Path]:
        """A directory to build in, under the lock; nothing of it stays unless it lands."""
        for left in self.cache.glob(f".partial-{name}-*"):
            shutil.rmtree(left)
        partial = self.cache / f".partial-{name}-{secrets.token_hex(4)}"
        partial.mkdir(mode=0o755)
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _land(self, name: str, partial: Path, title: str) -> Image:
        built = time.time()
        size = sum(p.lstat().st_blocks * 512 for p in partial.rglob("*"))
        (partial / _MANIFEST).write_text(json.dumps({"name": name, "title": title, "built": built, "size": size}))
        build = time.strftime("%Y%m%d%H%M%S", time.gmtime(built)) + "-" + secrets.token_hex(2)
        (self.cache / name).mkdir(exist_ok=True)
        partial.rename(self.cache / name / build)
        image = self.find(name, build)
        assert image is not None
        return image

    def _keyring(self, source: Source) -> Path:
        """The file that verifies the archive; a shipped one is checked against its pin."""
        path = Path(str(resources.files("azlan.machines") / "keyrings" / source.keyring))
        if not path.is_file():
            raise ImageError(
                f"the keyring {path} that verifies {source.title} is missing: "
                f"install the package {source.keyring_package or 'azlan again'}"
            )
        if source.keyring_sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != source.keyring_sha256:
            raise ImageError(f"the keyring {path} is not the one {source.title} is verified by: install azlan again")
        return path


def _exported_name(path: Path) -> str:
    try:
        shown = subprocess.run(
            ["tar", "-xzOf", str(path), "--occurrence=1", _MANIFEST], capture_output=True, timeout=60
        )
        return str(json.loads(shown.stdout)["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImageError(f"{path} is no exported image: use a file that `azlan images export` wrote") from error


@contextlib.contextmanager
def _process(
    argv: Sequence[str], out: IO[bytes] | None = None, *, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program fed by pipe, or read by one where `stdout` is PIPE; OSError where it fails, ended where we do."""
    stdin = None if stdout == subprocess.PIPE else subprocess.PIPE
    process = subprocess.Popen(argv, stdin=stdin, stdout=out or stdout, stderr=subprocess.PIPE)
    try:
        yield process
    except BaseException:
        process.kill()
        process.communicate()
        raise
    _, said = process.communicate()
    if process.returncode:
        raise OSError(f"{argv[0]} failed: {said.decode(errors='replace').strip()[-300:]}")


def _copy(source: IO[bytes], to: subprocess.Popen[bytes], size: int, tell: Callable[[float], None]) -> None:
    """Feed a program; `tell` the fraction of `size` at every full 4 MiB."""
    assert to.stdin is not None
    done = 0
    while chunk := source.read(1 << 22):
        try:
            to.stdin.write(chunk)
        except BrokenPipeError:
            return  # it ended early: its exit status says why, or that it needed no more
        done += len(chunk)
        tell(min(0.99, done / max(size, 1)))
