"""What a wheel carries that is built: hatchling's hook, which has the portal's bundle and the eBPF program built before the
wheel is packed. Needs Node, clang and libbpf's headers; the computer that installs the wheel needs none of them.

An editable installation builds nothing: a checkout has `make portal`, and builds the program when it first starts.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuiltParts(BuildHookInterface):  # type: ignore[type-arg]
    """Named in pyproject.toml; `initialize` runs before files are collected, `finalize` after the wheel is there."""

    _folder: str | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        _module(root / "portal" / "build.py").build()
        build_data["artifacts"].append("src/azlan/portal/**")
        self._folder = tempfile.mkdtemp(prefix="azlan-wheel-")
        built = _module(root / "src/azlan/engines/bpf/program.py").build_program(Path(self._folder))
        build_data["force_include"][str(built)] = f"azlan/engines/bpf/built/{built.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder)


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"azlan_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
