"""Plugging: idempotent, adopted, never on top of what is not ours."""

from __future__ import annotations

import os

import pytest

from azlan.engines.bpf.ports import PortError, alias_of, end_name, id_of_alias
from azlan.engines.bpf.render import part_id
from fabric_kit import Cloud


def test_a_fabric_end_tells_whose_it_is() -> None:
    for key in ("nic:/subscriptions/s/a", "nic:/" + "x" * 300):
        alias = alias_of(key)
        assert len(alias.encode()) <= 255
        assert id_of_alias(alias) == part_id(key)
        assert len(end_name(part_id(key))) == 15


async def one_nic(cloud: Cloud) -> None:
    cloud.network.vnet("a", "10.0.0.0/16")
    cloud.network.nic("n1", "a", "10.0.0.4")
    cloud.network.nic("n2", "a", "10.0.0.5")
    await cloud.apply()
    await cloud.plug("n1", "n2")


def index(cloud: Cloud) -> int:
    found: int = cloud.guest("n1").do(lambda ipr: ipr.link_lookup(ifname="eth0")[0])
    return found


@pytest.mark.root
async def test_plugging_again_changes_nothing_and_a_fresh_process_adopts(cloud: Cloud) -> None:
    await one_nic(cloud)
    before = index(cloud)
    await cloud.plug("n1")
    await cloud.engine.close()
    cloud.engine = cloud.new_engine()
    await cloud.plug("n1")
    assert index(cloud) == before
    link = cloud.guest("n1").run("ip", "link", "show", "eth0").stdout
    assert cloud.part("n1").mac in link
    assert "UP" in link
    assert cloud.guest("n1").reaches("10.0.0.5")


@pytest.mark.root
async def test_a_fresh_namespace_gets_a_fresh_pair(cloud: Cloud) -> None:
    """The machine was deleted and made again: the old pair is of no use."""
    await one_nic(cloud)
    cloud.guests.pop("n1").remove()
    await cloud.plug("n1")
    assert cloud.guest("n1").reaches("10.0.0.5")


@pytest.mark.root
async def test_a_changed_mac_is_a_new_pair(cloud: Cloud) -> None:
    await one_nic(cloud)
    cloud.network.change_nic("n1", mac="00:0d:3a:ff:ff:01")
    await cloud.apply()
    await cloud.plug("n1")
    assert "00:0d:3a:ff:ff:01" in cloud.guest("n1").run("ip", "link", "show", "eth0").stdout
    assert cloud.guest("n1").reaches("10.0.0.5")


@pytest.mark.root
async def test_a_link_that_is_not_ours_is_left_alone(cloud: Cloud) -> None:
    cloud.network.vnet("a", "10.0.0.0/16")
    cloud.network.nic("n1", "a", "10.0.0.4")
    await cloud.apply()
    cloud.guest("n1").do(lambda ipr: ipr.link("add", ifname="eth0", kind="bridge"))
    before = index(cloud)
    with pytest.raises(PortError, match="another link"):
        await cloud.plug("n1")
    assert index(cloud) == before


@pytest.mark.root
async def test_a_port_whose_machine_vanished_is_forgotten(cloud: Cloud) -> None:
    await one_nic(cloud)
    cloud.guests.pop("n1").remove()
    for _ in range(100):
        await cloud.engine.observe()
        if not cloud.guest("n2").reaches("10.0.0.4") and await cloud.dropped("n2", "nic_not_running"):
            return
    pytest.fail("the port is still there")


@pytest.mark.root
async def test_work_leaves_the_computers_namespace_as_it_was(cloud: Cloud) -> None:
    before = os.readlink("/proc/self/ns/net")
    await one_nic(cloud)
    await cloud.engine.unplug("nic:" + cloud.part("n1").id)
    await cloud.engine.unplug("nic:" + cloud.part("n1").id)
    inside = await cloud.engine._do(os.readlink, "/proc/thread-self/ns/net")
    assert inside == before == os.readlink("/proc/self/ns/net")
