"""The pin folder: maps and programs on a bpffs of our own below the run folder, named by the layout they have.

    run/bpf/<layout>/maps/<map>   programs-<sources>/{port,outside}   entry/{port_entry,outside_entry}

What is attached to ports is `entry`, two stubs that call through the `programs` map: other sources of the same layout
take over on all ports by one write. Another layout gets a folder of its own; the old one serves until ports switch.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

from azlan.base.linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, mount, unmount
from azlan.engines.bpf import program
from azlan.engines.bpf.kernel import Libbpf, Map, Word, possible_cpus
from azlan.engines.bpf.namespaces import is_bound

_PROGRAMS = ("port", "outside")
"""In the order of their index in the `programs` map."""
_PER_CPU = ("counted", "memos")


class Pins:
    """Maps and programs of this layout, loaded or adopted. `adopted`: ports run them."""

    def __init__(self, run_dir: Path, cache_dir: Path, bpf: Libbpf) -> None:
        self._mount = run_dir / "bpf"
        self._cache = cache_dir
        self._bpf = bpf
        self.layout = self._mount / program.layout_hash()
        self.maps: dict[str, Map] = {}
        self.epoch: Word | None = None
        self._plugs: Word | None = None
        self.adopted = False

    def open(self) -> None:
        """Mount, load what is missing, open every map. Raises KernelError, BuildError."""
        self._mount.mkdir(parents=True, exist_ok=True)
        if not is_bound(self._mount):
            mount("bpf", self._mount, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700")
        had_entry = (self.layout / "entry").exists()
        current = self.layout / f"programs-{program.source_hash()}"
        if not current.exists() or not (self.layout / "entry").exists():
            self._load(current)
        # Where an older layout is still there, ports were not switched, or not all of them.
        self.adopted = had_entry and not self.other_layouts()
        for path in sorted((self.layout / "maps").iterdir()):
            if path.name != "programs":
                self.maps[path.name] = Map(self._bpf, path, possible_cpus() if path.name in _PER_CPU else 1)
        self.epoch, self._plugs = Word(self.maps["epoch"]), Word(self.maps["plugs"])

    def _load(self, current: Path) -> None:
        built = program.build_program(self._cache)
        (self.layout / "maps").mkdir(parents=True, exist_ok=True)
        loading = self.layout / "loading"
        if loading.exists():
            shutil.rmtree(loading)
        self._bpf.load(built, self.layout / "maps", loading)
        entry = self.layout / "entry"
        if not entry.exists():
            unfinished = self.layout / "entering"
            unfinished.mkdir(exist_ok=True)
            for name in _PROGRAMS:
                (loading / f"{name}_entry").rename(unfinished / f"{name}_entry")
            unfinished.rename(entry)
        calls = Map(self._bpf, self.layout / "maps" / "programs")
        try:
            for index, name in enumerate(_PROGRAMS):
                with _Fd(self._bpf, loading / name) as fd:
                    calls.put(struct.pack("<I", index), struct.pack("<I", fd))
        finally:
            calls.close()
        for old in self.layout.glob("programs-*"):
            shutil.rmtree(old)
        for stub in loading.glob("*_entry"):
            stub.unlink()
        loading.rename(current)

    def entry(self, name: str) -> _Fd:
        """A stub to attach: `port` or `outside`, open inside `with`."""
        return _Fd(self._bpf, self.layout / "entry" / f"{name}_entry")

    def other_layouts(self) -> list[Path]:
        """Folders of pins that are not this layout's (the kernel puts files of its own beside them)."""
        return [path for path in self._mount.iterdir() if path.is_dir() and path != self.layout]

    def replugged(self) -> None:
        """To be called after every change of `ports` or `links`: what programs remember of them no longer holds."""
        assert self._plugs is not None
        self._plugs.store(self._plugs.load() + 1)

    def close(self) -> None:
        for word in (self.epoch, self._plugs):
            if word is not None:
                word.close()
        self.epoch = self._plugs = None
        for opened in self.maps.values():
            opened.close()
        self.maps = {}

    def remove(self) -> None:
        """Every pin and the mount itself."""
        self.close()
        while is_bound(self._mount):
            for layout in [*self.other_layouts(), self.layout]:
                shutil.rmtree(layout, ignore_errors=True)
            unmount(self._mount)
        if self._mount.exists():
            self._mount.rmdir()


class _Fd:
    """A pinned program, open inside `with`."""

    def __init__(self, bpf: Libbpf, path: Path) -> None:
        self._bpf = bpf
        self._path = path
        self._fd = -1

    def __enter__(self) -> int:
        self._fd = self._bpf.get_pinned(self._path)
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
