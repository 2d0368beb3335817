"""The cyclic garbage collector, kept away from what is made at once and stays.

A full collection looks at every object there is: while 10,000 rows are read and compiled it was two fifths of the work, and
found nothing (https://docs.python.org/3/library/gc.html, `freeze`).
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 10_000
"""How many more objects a server may make than it frees before the young ones are looked at. Python's own 700 are the
documents of one request."""

_lock = threading.Lock()
_paused = 0
_freezes = False


def serve_for_long() -> None:
    """From here on this process serves one cloud: what is made to stay is never looked at again (though freed as ever
    when nothing refers to it), and young objects less often."""
    global _freezes
    _freezes = True
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


@contextmanager
def making_what_stays() -> Iterator[None]:
    """No collection meanwhile, in any thread."""
    global _paused
    with _lock:
        _paused += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _paused -= 1
            if not _paused:
                if _freezes:
                    gc.freeze()
                gc.enable()
