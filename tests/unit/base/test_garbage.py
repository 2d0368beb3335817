"""Nothing is collected while what stays is made, whoever else makes some; a server never looks at it again."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from azlan.base import garbage
from azlan.base.garbage import YOUNG, making_what_stays, serve_for_long


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threshold = gc.get_threshold()
    monkeypatch.setattr(garbage, "_freezes", False)
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_the_collector_rests_until_the_last_is_done() -> None:
    with making_what_stays():
        with making_what_stays():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_server_never_looks_again_at_what_stays() -> None:
    frozen = gc.get_freeze_count()
    with making_what_stays():
        pass
    assert gc.get_freeze_count() == frozen
    serve_for_long()
    with making_what_stays():
        kept = [{"number": [number]} for number in range(1000)]
    assert gc.get_freeze_count() >= len(kept)
    assert not any(found is kept for found in gc.get_objects())
    assert gc.get_threshold()[0] == YOUNG


def test_the_collector_goes_on_after_an_error() -> None:
    with pytest.raises(LookupError), making_what_stays():
        raise LookupError
    assert gc.isenabled()
