"""What README tells its reader to type is there: make's targets, azlan's commands and options, files and folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from azlan.commands.cli import cli
from azlan.commands.images import images

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PROSE = README.partition("## The whole output")[0]

if "images" not in {group.name for group in cli.registered_groups}:
    cli.add_typer(images, name="images")
COMMANDS: Any = typer.main.get_command(cli)


def command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that a line names, and the rest of the line."""
    found = COMMANDS
    while words and words[0] in getattr(found, "commands", {}):
        found, words = found.commands[words[0]], words[1:]
    return found, words


def lines() -> list[str]:
    """Every `azlan …` of the page's commands and tables, printed output apart."""
    shown = re.findall(r"(?:^\$ (?:sudo )?|`|\"\$\()(?:\.venv/bin/)?(azlan(?: [^`\n)#│]+)?)", PROSE, re.MULTILINE)
    return sorted({line.strip() for line in shown})


def test_page_names_commands() -> None:
    assert len(lines()) > 8


@pytest.mark.parametrize("line", lines())
def test_azlan_has_the_command(line: str) -> None:
    words = [word for word in re.split(r"[\s\[\]|\\]+", line.replace("…", "")) if word][1:]
    found, rest = command(words)
    assert words == [] or found is not COMMANDS, f"there is no `azlan {words[0]}`"
    known = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        if word.startswith("-"):
            assert word in known, f"{line}: there is no {word}"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)\b", PROSE))))
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?://|#)([^)]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists(), link


def test_design_pages_name_files_that_exist() -> None:
    """`compiler/routes.py`-like names on the pages of docs/design are the ends of paths that exist."""
    found = [path for place in ("src", "tests", "bench", "docs") for path in (ROOT / place).rglob("*.*")]
    there = [f"/{path.relative_to(ROOT)}" for path in (*found, *(ROOT / "portal").glob("*.*"))]
    missing = []
    for page in sorted((ROOT / "docs/design").glob("*.md")):
        for name in set(re.findall(r"`((?:[\w-]+/)+[\w.-]+\.(?:py|c|h|yaml|md|txt))`", page.read_text())):
            if not any(path.endswith(f"/{name}") for path in there):
                missing.append(f"{page.name}: {name}")
    assert missing == []
