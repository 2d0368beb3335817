"""Maps on the kernel: batches, what is not there, the word that flips, and errors that say what happened."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from azlan.engines.bpf.kernel import KernelError, Libbpf, Map, wait_for_packets
from fabric_kit import CACHE, Cloud

pytestmark = pytest.mark.root


def words(count: int) -> dict[bytes, bytes]:
    return {struct.pack("<Q", n): struct.pack("<II", n, 0) for n in range(1, count + 1)}


async def test_a_batch_is_one_call_and_dumps_are_whole(cloud: Cloud) -> None:
    await cloud.apply()
    vnets, entries = cloud.engine._pins.maps["vnets"], words(12000)
    before = cloud.engine.calls
    vnets.update(entries)
    assert cloud.engine.calls == before + 1
    assert vnets.dump() == entries
    keys = list(entries)
    vnets.remove([*keys[:5], struct.pack("<Q", 99999), *keys[5:11990]])
    assert set(vnets.dump()) == set(keys[11990:])
    assert vnets.get(keys[0]) is None
    assert vnets.get(keys[-1]) == entries[keys[-1]]


async def test_entries_of_the_wrong_size_never_reach_the_kernel(cloud: Cloud) -> None:
    await cloud.apply()
    vnets = cloud.engine._pins.maps["vnets"]
    for entry in ({b"short": bytes(8)}, {bytes(8): b"short"}):
        with pytest.raises(ValueError, match="not 8 and 8 bytes"):
            vnets.update(entry)
    with pytest.raises(ValueError, match="not 8 and 8 bytes"):
        vnets.put(bytes(8), b"short")


async def test_a_full_map_is_an_error_with_its_name(cloud: Cloud) -> None:
    await cloud.apply()
    with pytest.raises(KernelError, match="vnets"):
        cloud.engine._pins.maps["vnets"].update(words(20000))


async def test_the_epoch_is_stored_without_a_call(cloud: Cloud) -> None:
    await cloud.apply()
    epoch = cloud.engine._pins.epoch
    assert epoch is not None
    before = cloud.engine.calls
    epoch.store(0x0123_4567_89AB_CDEF)
    assert epoch.load() == 0x0123_4567_89AB_CDEF
    assert cloud.engine.calls == before
    raw = Map(Libbpf(), cloud.engine._pins.layout / "maps" / "epoch").get(bytes(4))
    assert raw == struct.pack("<Q", 0x0123_4567_89AB_CDEF)


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    (tmp_path / "no.o").write_bytes(b"not an object")
    with pytest.raises(KernelError, match=r"no\.o"):
        Libbpf().load(tmp_path / "no.o", tmp_path, tmp_path / "programs")
    with pytest.raises(KernelError, match="bpf_obj_get"):
        Libbpf().get_pinned(tmp_path / "nothing")
    assert CACHE.is_absolute()


def test_waiting_for_packets_comes_back() -> None:
    wait_for_packets()
