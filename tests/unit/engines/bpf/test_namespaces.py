"""Namespaces bound at a path, and threads that come back from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from azlan.engines.bpf.namespaces import inside, is_bound, make_namespace, remove_namespace

pytestmark = pytest.mark.root


def own() -> str:
    return os.readlink("/proc/thread-self/ns/net")


def test_made_once_entered_left_and_removed(tmp_path: Path) -> None:
    path, before = tmp_path / "ns" / "one", own()
    make_namespace(path)
    try:
        assert own() == before
        with inside(path):
            first = own()
            with pytest.raises(ZeroDivisionError), inside(path):
                raise ZeroDivisionError
            assert own() == first
        assert own() == before != first
        make_namespace(path)
        with inside(path):
            assert own() == first
    finally:
        remove_namespace(path)
    assert not is_bound(path)
    assert not path.exists()
    remove_namespace(path)


def test_a_path_that_is_no_namespace_is_an_error(tmp_path: Path) -> None:
    before = own()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="setns"), inside(tmp_path / "file"):
        pass
    assert own() == before
