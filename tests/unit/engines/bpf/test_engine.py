"""What the engine promises about changes: atomic, as small as what changed, and nobody's loss when it dies."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import signal
import subprocess
import time
import tracemalloc
from dataclasses import replace

import pytest

from azlan.contract.engine import Flow
from azlan.contract.world import Machine, World, digest, part_key, root_of
from azlan.engines.bpf import program, render
from fabric_kit import CACHE, Cloud, churn, declare, rule

pytestmark = pytest.mark.root


def root(world: World) -> bytes:
    return root_of(digest(part) for part in world.parts.values() if not isinstance(part, Machine))


def received(pinging: subprocess.Popen[str]) -> tuple[int, int]:
    """(sent, received) of a ping that was interrupted."""
    pinging.send_signal(signal.SIGINT)
    said, _ = pinging.communicate(timeout=10)
    found = re.search(r"(\d+) packets transmitted, (\d+) received", said)
    assert found, said
    return int(found[1]), int(found[2])


async def test_kill_9_in_the_middle_of_changes_loses_no_packet(cloud: Cloud) -> None:
    declare(cloud.network, 0)
    await cloud.apply()
    await cloud.plug("a1", "b1")
    pinging = cloud.guest("a1").start("ping", "-n", "-i", "0.005", "10.1.0.4")
    spawn = multiprocessing.get_context("spawn")
    for attempt in range(3):
        started = cloud.folder / f"step{attempt}"
        process = spawn.Process(
            target=churn, args=(cloud.folder / "run", cloud.mark, cloud.computer.path, str(started))
        )
        process.start()
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if started.exists() and int(started.read_text() or 0) > 20 * attempt:
                break
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert started.exists()
    fresh = cloud.new_engine()
    world = cloud.network.world()
    report = await fresh.apply(world)
    assert report.failed == {}
    seen = await fresh.observe()
    assert (seen.root, seen.foreign) == (root(world), ())
    sent, back = received(pinging)
    assert sent > 200
    assert back == sent
    await fresh.plug(cloud.part("a1"), cloud.guest("a1").path, "eth0")
    assert cloud.guest("a1").reaches("10.1.0.4")
    await fresh.close()


async def test_a_fresh_process_with_the_same_world_writes_nothing(cloud: Cloud) -> None:
    declare(cloud.network, 1)
    world = cloud.network.world()
    assert (await cloud.engine.apply(world)).parts_written == len(world.parts)
    await cloud.plug("a1", "b1")
    await cloud.engine.close()
    cloud.engine = cloud.new_engine()
    assert (await cloud.engine.observe()).root == root(world)
    assert (await cloud.engine.apply(world)).parts_written == 0
    assert cloud.guest("a1").reaches("10.1.0.4")
    assert (await cloud.engine.observe()).root == root(world)


async def test_no_packet_sees_a_third_state_while_everything_flips(cloud: Cloud) -> None:
    """Both worlds let a1 reach b1, by other tables each time; a mix of them would not."""
    declare(cloud.network, 0)
    await cloud.apply()
    await cloud.plug("a1", "b1")
    pinging = cloud.guest("a1").start("ping", "-n", "-i", "0.002", "10.1.0.4")
    end = time.monotonic() + 3
    step = 0
    while time.monotonic() < end:
        step += 1
        declare(cloud.network, step)
        await cloud.apply()
    sent, back = received(pinging)
    assert step > 50
    assert sent > 150
    assert back == sent


async def crowd(cloud: Cloud, nics: int) -> tuple[int, int, int]:
    """Peer two VNets with so many NICs and flip the peering; the most of any flip: (parts written, bpf(2) calls, bytes of
    memory taken meanwhile)."""
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.vnet("b", "10.1.0.0/16")
    network.peer("a", "b")
    for number in range(nics):
        low = number + 4
        network.nic(f"n{number}", "ab"[number % 2], f"10.{number % 2}.{low >> 8}.{low & 255}")
    world = network.world()
    assert not (await cloud.engine.apply(world)).failed
    costs = set()
    peaks = []
    for state in (False, True, False, True):
        network.peer("a", "b", access=state)
        world = network.world()
        before = cloud.engine.calls
        tracemalloc.start()
        report = await cloud.engine.apply(world)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.failed == {}
        costs.add((report.parts_written, cloud.engine.calls - before))
        await asyncio.sleep(0.06)
    assert (await cloud.engine.observe()).root == root(world)
    return (*max(costs), min(peaks))


async def test_a_flip_costs_the_same_with_10_1000_and_5000_nics() -> None:
    costs, peaks = [], []
    for nics in (10, 1000, 5000):
        cloud = Cloud()
        try:
            parts, calls, peak = await crowd(cloud, nics)
            costs.append((parts, calls))
            peaks.append(peak)
        finally:
            await cloud.remove()
    assert len(set(costs)) == 1, costs
    assert max(peaks) < 1.5 * peaks[0] + 20_000, peaks  # a copy over 5,000 NICs takes 300,000
    assert costs[0][0] == 2  # the tags of two VNets
    assert costs[0][1] < 20


async def test_an_address_moves_from_nic_to_nic_in_one_change(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.nic("n1", "a", "10.0.0.4")
    network.nic("n2", "a", "10.0.0.5", "10.0.0.6")
    network.nic("n3", "a", "10.0.0.7")
    await cloud.apply()
    await cloud.plug("n1", "n2", "n3")
    network.nic("n1", "a", "10.0.0.6", "10.0.0.4")
    network.nic("n2", "a", "10.0.0.5")
    await cloud.apply()
    await cloud.plug("n1")
    said = cloud.guest("n3").ping("10.0.0.6")
    assert "ttl=64" in said
    assert (await cloud.engine.counters())[f"nic:{cloud.part('n1').id}"]["delivered"] >= 1
    network.remove(cloud.part("n2").id)
    await cloud.apply()
    assert not cloud.guest("n3").reaches("10.0.0.5")
    assert not cloud.guest("n2").reaches("10.0.0.7")


async def test_drift_is_seen_and_repaired(cloud: Cloud) -> None:
    declare(cloud.network, 1)
    world = cloud.network.world()
    await cloud.engine.apply(world)
    maps = cloud.engine._pins.maps
    maps["rules"].remove(list(maps["rules"].dump())[:1])
    maps["places"].remove(list(maps["places"].dump())[:1])
    assert (await cloud.engine.observe()).root != root(world)
    report = await cloud.engine.apply(world)
    assert report.failed == {}
    assert report.parts_written >= 1
    seen = await cloud.engine.observe()
    assert (seen.root, seen.foreign) == (root(world), ())


async def test_a_port_of_no_part_is_foreign(cloud: Cloud) -> None:
    declare(cloud.network, 1)
    await cloud.apply()
    await cloud.plug("a1")
    cloud.network.remove(cloud.part("a1").id)
    await cloud.apply()
    assert any(name.startswith("port n") for name in (await cloud.engine.observe()).foreign)


async def test_what_cannot_be_carried_fails_alone_and_closed(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.nic("n1", "a", "10.0.0.4")
    network.nic("n2", "a", "10.0.0.5", group="g")
    ports = tuple((port, port) for port in range(1, 40001))
    network.group("g", rule("Many", 100, "Inbound", True, ports=ports))
    world = network.world()
    report = await cloud.engine.apply(world)
    assert [key.split("/")[-1] for key in report.failed] == ["g"]
    await cloud.plug("n1", "n2")
    assert not cloud.guest("n1").reaches("10.0.0.5")
    assert await cloud.dropped("n2", "nic_inbound_rule") >= 1


async def test_other_sources_take_over_without_a_gap(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same layout: the program is replaced. Another layout: new maps, then the ports switch."""
    declare(cloud.network, 1)
    world = cloud.network.world()
    await cloud.engine.apply(world)
    await cloud.plug("a1", "b1")
    pinging = cloud.guest("a1").start("ping", "-n", "-i", "0.005", "10.1.0.4")
    await asyncio.sleep(0.1)
    built = program.build_program(CACHE)
    monkeypatch.setattr(program, "source_hash", lambda: "another")
    monkeypatch.setattr(program, "build_program", lambda _: built)
    for layout in (None, "another-layout"):
        await cloud.engine.close()
        if layout:
            monkeypatch.setattr(program, "layout_hash", lambda: "another-layout")
        cloud.engine = cloud.new_engine()
        await cloud.engine.observe()
        assert (await cloud.engine.apply(world)).failed == {}
        await asyncio.sleep(0.1)
    sent, back = received(pinging)
    assert sent > 30
    assert back == sent
    folders = [path.name for path in (cloud.folder / "run" / "bpf").iterdir() if path.is_dir()]
    assert folders == ["another-layout"]


async def test_clouds_live_side_by_side() -> None:
    one, other = Cloud(), Cloud()
    try:
        for cloud in (one, other):
            cloud.network.vnet("a", "10.0.0.0/16")
            cloud.network.nic("n1", "a", "10.0.0.4")
            cloud.network.nic("n2", "a", "10.0.0.5")
            await cloud.apply()
            await cloud.plug("n1", "n2")
        await other.engine.destroy()
        other.engine = other.new_engine()
        assert one.guest("n1").reaches("10.0.0.5")
        assert not other.guest("n1").reaches("10.0.0.5")
    finally:
        await one.remove()
        await other.remove()


async def test_probe_asks_the_world_that_is_in_force(cloud: Cloud) -> None:
    declare(cloud.network, 0)
    await cloud.apply()
    nic = f"nic:{cloud.part('a1').id}"
    verdict = await cloud.engine.probe(Flow(nic=nic, source="10.0.0.4", destination="10.1.0.4", protocol=1))
    assert verdict.to == f"nic:{cloud.part('b1').id}"


async def test_what_cannot_be_rendered_costs_once_and_holds_nobody_up(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []
    real = render.render_part

    def counting(part: render.NetworkPart, content: int) -> render.Entries:
        rendered.append(part_key(part))
        return real(part, content)

    monkeypatch.setattr(render, "render_part", counting)
    network = cloud.network
    declare(network, 0)
    every = tuple((port, port) for port in range(0, 2000, 2))
    large = [replace(rule(f"R{n}", 100 + n, "Inbound", True), destination_ports=every) for n in range(40)]
    network.group("large", *large)
    network.nic("a2", "a", "10.0.0.5", group="large")
    for step in range(3):
        network.peer("a", "b", access=bool(step % 2))
        report = await cloud.engine.apply(network.world())
        assert ["rule entries" in why for why in report.failed.values()] == [True]
    (refused,) = report.failed
    assert rendered.count(refused) == 1
    network.group("large", *large[:10])
    report = await cloud.engine.apply(network.world())
    assert report.failed == {}
    assert (await cloud.engine.observe()).root == root(network.world())
