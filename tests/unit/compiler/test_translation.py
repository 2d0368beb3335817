"""NICs, VNets and machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from azlan.compiler.translation import machine_part, nic_part, vnet_part
from azlan.contract import facts, world

GATES = ("rules:/g1", "rules:/g2")
SUBNET = facts.Subnet("/v/s", "/v", ("10.0.1.0/24", "10.0.2.64/26", "fd00:1::/64"), "/g2", None, False)


def nic(*addresses: str, public: str | None = None) -> facts.Nic:
    configs = tuple(facts.IpConfig(f"/c{i}", ip, public if i == 0 else None) for i, ip in enumerate(addresses))
    return facts.Nic("/n", "/v/s", "00:0d:3a:00:00:01", configs, "/g1", True, "/m", "h2")


def test_a_nic() -> None:
    publics = {"/p": facts.PublicAddress("/p", "203.0.113.1", 10)}
    assert nic_part(nic("10.0.1.4", "10.0.1.5", public="/p"), SUBNET, publics, "routes:/v|", GATES) == world.Nic(
        id="/n",
        vnet="vnet:/v",
        subnet="/v/s",
        mac="00:0d:3a:00:00:01",
        addresses=(
            world.NicAddress(private="10.0.1.4", public="203.0.113.1", idle_timeout_seconds=600),
            world.NicAddress(private="10.0.1.5"),
        ),
        prefix_length=24,
        gateway="10.0.1.1",
        routes="routes:/v|",
        nic_rules="rules:/g1",
        subnet_rules="rules:/g2",
        forwarding=True,
        default_outbound=False,
        machine="machine:/m",
        host="h2",
    )


@pytest.mark.parametrize(
    ("ip", "length", "gateway"),
    [("10.0.1.4", 24, "10.0.1.1"), ("10.0.2.68", 26, "10.0.2.65"), ("fd00:1::4", 64, "fe80::1234:5678:9abc")],
)
def test_gateway_and_length_are_those_of_the_prefix_around_the_address(ip: str, length: int, gateway: str) -> None:
    part = nic_part(nic(ip), SUBNET, {}, "routes:/v|", GATES)
    assert part is not None
    assert (part.prefix_length, part.gateway) == (length, gateway)


def test_no_part_without_an_address_in_the_subnet() -> None:
    assert nic_part(nic(), SUBNET, {}, "routes:/v|", GATES) is None
    assert nic_part(nic("10.0.3.4"), SUBNET, {}, "routes:/v|", GATES) is None


def test_a_public_address_that_is_not_there_is_none() -> None:
    part = nic_part(nic("10.0.1.4", public="/gone"), SUBNET, {}, "routes:/v|", GATES)
    assert part is not None
    assert part.addresses[0].public is None


@pytest.mark.parametrize(("minutes", "seconds"), [(None, 240), (4, 240), (30, 1800)])
def test_flow_timeout(minutes: int | None, seconds: int) -> None:
    space = facts.Space("/v", ("10.0.0.0/16",), "eastus2", ("10.0.0.5",), minutes)
    part = vnet_part(space, ())
    assert (part.flow_timeout_seconds, part.dns_servers, part.location) == (seconds, ("10.0.0.5",), "eastus2")


def test_a_machine_keeps_everything_it_was_given() -> None:
    login = facts.Login("azureuser", "$6$x", ("ssh-ed25519 A",), b"#cloud-config")
    given = facts.Machine("/m", "vm", "vm-1", "ubuntu-22.04", 512, 2, ("/n1", "/n2"), login, "stopped", 3, "h2")
    assert machine_part(given) == world.Machine(
        id="/m",
        role="vm",
        computer_name="vm-1",
        image="ubuntu-22.04",
        memory_mib=512,
        cpus=2,
        nics=("nic:/n1", "nic:/n2"),
        login=world.GuestLogin(
            username="azureuser", password_hash="$6$x", ssh_keys=("ssh-ed25519 A",), custom_data=b"#cloud-config"
        ),
        power="stopped",
        boot=3,
        host="h2",
    )
    bastion = facts.Machine("/b", "bastion", "b", "", 128, 1, ("/n1",))
    assert machine_part(bastion).login is None


def test_names_and_whom_guests_ask_for_them() -> None:
    labelled = replace(nic("10.0.1.4"), dns_servers=("10.0.0.9",), dns_label="db")
    part = nic_part(labelled, SUBNET, {}, "routes:/v|", GATES)
    assert part is not None
    assert (part.dns_servers, part.dns_label) == (("10.0.0.9",), "db")
    space = facts.Space("/v", ("10.0.0.0/16",), "eastus2", ("10.0.0.8",), None, "abc.ex.internal.cloudapp.net")
    vnet = vnet_part(space, ())
    assert (vnet.dns_servers, vnet.dns_suffix) == (("10.0.0.8",), "abc.ex.internal.cloudapp.net")
