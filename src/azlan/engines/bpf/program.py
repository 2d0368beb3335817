"""The port program, compiled from the C beside this file when no build of exactly these sources is at hand.

A build is named by the hash of its sources; the folder of pinned maps by the hash of what decides their content.
"""

from __future__ import annotations

import os
import platform
import subprocess
from hashlib import blake2b
from pathlib import Path

SOURCES = Path(__file__).with_name("program")
MAIN = "port.bpf.c"
LAYOUT = "layout.h"
SHIPPED = Path(__file__).with_name("built")
"""Where a wheel keeps the program it ships."""

RENDERING = 1
"""Raise when `render` gives other entries for the same part: kept tables would not be noticed to differ."""


class BuildError(Exception):
    """The program cannot be had; the message says what to install."""


def _hash(*paths: Path) -> str:
    total = blake2b(digest_size=8)
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def source_hash() -> str:
    """16 hex digits over all sources."""
    return _hash(*sorted(SOURCES.iterdir()))


def layout_hash() -> str:
    """16 hex digits over what the maps hold; another one means new maps."""
    return blake2b(f"{_hash(SOURCES / LAYOUT)}/{RENDERING}".encode(), digest_size=8).hexdigest()


def build_program(cache_dir: Path) -> Path:
    """The compiled object of these sources: shipped, from the cache, or built into it now (1 s).

    Raises BuildError naming the Debian package that is missing, or with the compiler's words.
    """
    name = f"port-{source_hash()}.o"
    for folder in (SHIPPED, cache_dir):
        if (folder / name).exists():
            return folder / name
    cache_dir.mkdir(parents=True, exist_ok=True)
    built = cache_dir / f".{name}.{os.getpid()}"
    command = ["clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf"]
    command += [f"-I/usr/include/{platform.machine()}-linux-gnu", "-c", str(SOURCES / MAIN), "-o", str(built)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError("clang is missing: install the Debian packages clang and libbpf-dev.") from None
    if result.returncode:
        built.unlink(missing_ok=True)
        if "bpf/bpf_helpers.h" in result.stderr and "not found" in result.stderr:
            raise BuildError("bpf/bpf_helpers.h is missing: install the Debian package libbpf-dev.")
        if "linux/" in result.stderr and "not found" in result.stderr:
            raise BuildError("The kernel's headers are missing: install the Debian package linux-libc-dev.")
        raise BuildError(f"clang could not build {MAIN}:\n{result.stderr}")
    built.replace(cache_dir / name)
    return cache_dir / name
