"""What is served, on one page: `types.txt` is what `azlan types` prints. A change of it is a change of what is promised.

After a type was added or changed: `azlan types > tests/meta/types.txt`, and read the difference.
"""

from __future__ import annotations

from pathlib import Path

from azlan.arm.registry import Registry

PAGE = Path(__file__).with_name("types.txt")


def test_list_of_types_is_as_written_down() -> None:
    assert Registry.discover().describe() == PAGE.read_text()


def test_references_lead_to_types_or_to_what_is_said_to_be_missing() -> None:
    registry = Registry.discover()
    missing = {problem.rpartition(" ")[2] for problem in registry.validate_references()}
    named = PAGE.read_text().partition("Not served, though something may refer to it:\n")[2].split()
    assert missing == set(named)
