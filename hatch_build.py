"""What a wheel carries that is built: hatchling's hook, which has the portal's bundle built before the wheel is packed.

An editable installation builds nothing: a checkout has `make portal`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuiltParts(BuildHookInterface):  # type: ignore[type-arg]
    """Named in pyproject.toml; `initialize` runs before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        _portal(Path(self.root))
        build_data["artifacts"].append("src/azlan/portal/**")


def _portal(root: Path) -> None:
    file = root / "portal" / "build.py"
    spec = importlib.util.spec_from_file_location("azlan_portal_build", file)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.build()
