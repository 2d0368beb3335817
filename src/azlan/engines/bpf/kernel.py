"""The only I/O on programs and maps: a thin binding to the system's libbpf, counting every bpf(2) call.

Follows bpf(2) and libbpf's API (libbpf.so.1, the oldest that is known to work is 1.1).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

BATCH = 65536
"""Entries a call; a whole cloud of 5,000 NICs takes one or two a map."""

DUMP_BYTES = 1 << 20
"""Room for the entries of one call of a dump."""

_ANY = 0


class KernelError(OSError):
    """The kernel or libbpf said no; the message holds libbpf's own log where there is one."""


class _BatchOptions(ctypes.Structure):
    _fields_ = (("sz", ctypes.c_size_t), ("elem_flags", ctypes.c_uint64), ("flags", ctypes.c_uint64))


class _MapInfo(ctypes.Structure):
    """The head of struct bpf_map_info, which the kernel fills as far as it is asked."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
    )


_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class Libbpf:
    """libbpf with typed functions and a log. `calls` counts bpf(2) calls made through it, loading left out."""

    def __init__(self) -> None:
        try:
            self.lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
        except OSError:
            raise KernelError(errno.ENOENT, "libbpf.so.1 is missing: install the Debian package libbpf1.") from None
        self.calls = 0
        self.log: list[str] = []
        libc = ctypes.CDLL(None)
        buffer = ctypes.create_string_buffer(1 << 16)

        def note(level: int, form: bytes, arguments: int) -> int:
            if level == 0:  # LIBBPF_WARN
                libc.vsnprintf(buffer, ctypes.c_size_t(len(buffer)), form, ctypes.c_void_p(arguments))
                self.log.append(buffer.value.decode(errors="replace").rstrip())
            return 0

        self._note = _PRINT(note)  # libbpf keeps the pointer: so must we
        self.lib.libbpf_set_print(self._note)
        for name in ("bpf_object__open", "bpf_object__next_map", "bpf_object__find_program_by_name"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.bpf_map__name.restype = ctypes.c_char_p

    def checked(self, result: int, what: str) -> int:
        if result < 0:
            number = -result
            log, self.log = "\n".join(self.log[-40:]), []
            raise KernelError(number, f"{what}: {os.strerror(number)}" + (f"\n{log}" if log else ""))
        return result

    def call(self, function: str, what: str, *arguments: object) -> int:
        """One counted bpf(2) call. Raises KernelError."""
        self.calls += 1
        return self.checked(getattr(self.lib, function)(*arguments), f"{function} {what}")

    def get_pinned(self, path: Path) -> int:
        """File descriptor of a pinned map or program."""
        return self.call("bpf_obj_get", str(path), os.fsencode(path))

    def load(self, built: Path, maps: Path, programs: Path) -> None:
        """Load an object: its maps are those pinned in `maps`, made and pinned there where they are missing; its
        programs are pinned in `programs`, which must not exist yet."""
        lib = self.lib
        handle = lib.bpf_object__open(os.fsencode(built))
        if not handle:
            number = ctypes.get_errno()
            raise KernelError(number, f"{built}: {os.strerror(number)}\n" + "\n".join(self.log))
        handle = ctypes.c_void_p(handle)
        try:
            current = lib.bpf_object__next_map(handle, None)
            while current:
                name = lib.bpf_map__name(ctypes.c_void_p(current)).decode()
                if "." not in name:  # not the constants, which go with the program
                    path = os.fsencode(maps / name)
                    self.checked(lib.bpf_map__set_pin_path(ctypes.c_void_p(current), path), f"pin {name}")
                current = lib.bpf_object__next_map(handle, ctypes.c_void_p(current))
            self.checked(lib.bpf_object__load(handle), "load the port program")
            self.checked(lib.bpf_object__pin_programs(handle, os.fsencode(programs)), "pin the port program")
        finally:
            lib.bpf_object__close(handle)
            self.log.clear()


class Map:
    """A pinned map. Keys and values are bytes of exactly its sizes; per-CPU values are one after the other."""

    def __init__(self, bpf: Libbpf, path: Path, cpus: int = 1) -> None:
        self._bpf = bpf
        self.name = path.name
        self.fd = bpf.get_pinned(path)
        info = _MapInfo()
        size = ctypes.c_uint32(ctypes.sizeof(info))
        bpf.call("bpf_obj_get_info_by_fd", self.name, self.fd, ctypes.byref(info), ctypes.byref(size))
        self.key_size: int = info.key_size
        self.value_size: int = info.value_size * cpus

    def close(self) -> None:
        os.close(self.fd)

    def _batches(self, count: int) -> Iterable[tuple[int, int]]:
        return ((start, min(BATCH, count - start)) for start in range(0, count, BATCH))

    def update(self, entries: Mapping[bytes, bytes]) -> None:
        """Write all entries in one call (65,536 at most a call). Raises KernelError; then some may have been written."""
        keys, values = b"".join(entries), b"".join(entries.values())
        if len(keys) != len(entries) * self.key_size or len(values) != len(entries) * self.value_size:
            raise ValueError(f"entries of {self.name} are not {self.key_size} and {self.value_size} bytes")
        options = _BatchOptions(ctypes.sizeof(_BatchOptions), _ANY, 0)
        for start, size in self._batches(len(entries)):
            count = ctypes.c_uint32(size)
            k = keys[start * self.key_size : (start + size) * self.key_size]
            v = values[start * self.value_size : (start + size) * self.value_size]
            self._bpf.call("bpf_map_update_batch", self.name, self.fd, k, v, ctypes.byref(count), ctypes.byref(options))

    def put(self, key: bytes, value: bytes) -> None:
        if len(key) != self.key_size or len(value) != self.value_size:
            raise ValueError(f"an entry of {self.name} is not {self.key_size} and {self.value_size} bytes")
        self._bpf.call("bpf_map_update_elem", self.name, self.fd, key, value, ctypes.c_uint64(_ANY))

    def get(self, key: bytes) -> bytes | None:
        value = ctypes.create_string_buffer(self.value_size)
        try:
            self._bpf.call("bpf_map_lookup_elem", self.name, self.fd, key, value)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def remove(self, keys: Iterable[bytes]) -> None:
        """Delete entries; those that are not there are passed over."""
        wanted = list(keys)
        options = _BatchOptions(ctypes.sizeof(_BatchOptions), 0, 0)
        while wanted:
            part = wanted[:BATCH]
            count = ctypes.c_uint32(len(part))
            try:
                self._bpf.call(
                    "bpf_map_delete_batch",
                    self.name,
                    self.fd,
                    b"".join(part),
                    ctypes.byref(count),
                    ctypes.byref(options),
                )
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise
                wanted = wanted[count.value + 1 :]
                continue
            wanted = wanted[len(part) :]

    def dump(self) -> dict[bytes, bytes]:
        """All entries. A change meanwhile may be missed, never torn apart from its key."""
        most = max(64, DUMP_BYTES // (self.key_size + self.value_size))
        keys = ctypes.create_string_buffer(self.key_size * most)
        values = ctypes.create_string_buffer(self.value_size * most)
        cursor = ctypes.create_string_buffer(max(self.key_size, 8))
        options = _BatchOptions(ctypes.sizeof(_BatchOptions), 0, 0)
        found: dict[bytes, bytes] = {}
        before: object = None
        more = True
        while more:
            count = ctypes.c_uint32(most)
            arguments = (self.fd, before, cursor, keys, values, ctypes.byref(count), ctypes.byref(options))
            try:
                self._bpf.call("bpf_map_lookup_batch", self.name, *arguments)
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise
                more = False
            before = cursor
            k = ctypes.string_at(keys, count.value * self.key_size)
            v = ctypes.string_at(values, count.value * self.value_size)
            for i in range(count.value):
                key = k[i * self.key_size : (i + 1) * self.key_size]
                found[key] = v[i * self.value_size : (i + 1) * self.value_size]
        return found


class Word:
    """The one 64-bit word of an mmap-able array: read and stored whole, without a bpf(2) call."""

    def __init__(self, source: Map) -> None:
        self._memory = mmap.mmap(source.fd, mmap.PAGESIZE)
        self._word: ctypes.c_uint64 | None = ctypes.c_uint64.from_buffer(self._memory)

    def load(self) -> int:
        assert self._word is not None
        return self._word.value

    def store(self, value: int) -> None:
        assert self._word is not None
        self._word.value = value

    def close(self) -> None:
        self._word = None  # gives the memory back, so that it can be unmapped
        self._memory.close()


def possible_cpus() -> int:
    """How many values a per-CPU entry has."""
    last = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").strip().split("-")[-1]
    return int(last.split(",")[-1]) + 1


_libc = ctypes.CDLL(None, use_errno=True)
_SYS_MEMBARRIER = {"x86_64": 324, "aarch64": 283}


def wait_for_packets() -> None:
    """Return once every packet that was in a program when this was called has left it (membarrier: one RCU grace
    period, 5 to 30 ms)."""
    number = _SYS_MEMBARRIER.get(os.uname().machine)
    if number is None or _libc.syscall(number, 1, 0, 0) != 0:
        time.sleep(0.05)
