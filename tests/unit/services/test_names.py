"""What Azure's DNS answers, from a World.

vnet-1 (one.ex.internal.cloudapp.net)   vm-1 10.0.0.4 (label db)   vm-2 10.0.0.5, second NIC 10.0.1.5 (label back)
vnet-2 (two.ex.internal.cloudapp.net)   vm-3 10.1.0.4, peered with vnet-1
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.reversename
import pytest

from azlan.contract.world import Machine, Nic, NicAddress, Vnet, World, part_key
from azlan.services.names import Names, reverse_network

ONE, TWO = "one.ex.internal.cloudapp.net", "two.ex.internal.cloudapp.net"


def nic(name: str, vnet: str, address: str, machine: str | None, **given: Any) -> Nic:
    return Nic(
        id=f"/{name}", vnet=f"vnet:/{vnet}", subnet=f"/{vnet}/s", mac="00:0d:3a:00:00:01", prefix_length=24,
        gateway="10.0.0.1", addresses=(NicAddress(private=address), NicAddress(private="10.0.0.99")),
        routes=f"routes:/{vnet}|", machine=f"machine:/{machine}" if machine else None, **given,
    )  # fmt: skip


def machine(name: str, *nics: str, role: str = "vm", computer_name: str | None = None) -> Machine:
    return Machine(
        id=f"/{name}", role=role, computer_name=computer_name or name, image="", memory_mib=1, cpus=1,
        nics=tuple(f"nic:/{one}" for one in nics),
    )  # fmt: skip


PARTS = (
    Vnet(id="/vnet-1", location="eastus2", prefixes=("10.0.0.0/16", "20.5.0.0/16"), tags=(), dns_suffix=ONE),
    Vnet(id="/vnet-2", location="eastus2", prefixes=("10.1.0.0/16",), tags=(), dns_suffix=TWO),
    nic("n1", "vnet-1", "10.0.0.4", "vm-1", dns_label="DB"),
    nic("n2", "vnet-1", "10.0.0.5", "vm-2"),
    nic("n2b", "vnet-1", "10.0.1.5", "vm-2", dns_label="back"),
    nic("n3", "vnet-2", "10.1.0.4", "vm-3"),
    nic("n4", "vnet-1", "20.5.0.4", "vm-4"),
    nic("n5", "vnet-1", "10.0.0.7", "twin"),
    nic("free", "vnet-1", "10.0.0.6", None, dns_label="free"),
    nic("nb", "vnet-1", "10.0.9.4", "bastion"),
    machine("vm-1", "n1", computer_name="VM-1"),
    machine("vm-2", "n2", "n2b"),
    machine("vm-3", "n3"),
    machine("vm-4", "n4"),
    machine("twin", "n5", computer_name="vm-2"),
    machine("bastion", "nb", role="bastion"),
)
NAMES = Names(World(revision=1, parts=MappingProxyType({part_key(part): part for part in PARTS})))


def ask(name: str, kind: str = "A", of: str = "n1") -> str:
    """The answers' text, `NODATA`, the rcode's name, or `forwarded`."""
    answer = NAMES.answer(f"nic:/{of}", dns.message.make_query(name, kind))
    if answer is None:
        return "forwarded"
    assert answer.flags & dns.flags.QR
    assert answer.flags & dns.flags.RA
    found = ",".join(str(rdata) for rrset in answer.answer for rdata in rrset)
    return found or ("NODATA" if answer.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(answer.rcode()))


def reverse(address: str, of: str = "n1") -> str:
    return ask(str(dns.reversename.from_address(address)), "PTR", of)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (f"vm-2.{ONE}", "A", "10.0.0.5"),
        (f"VM-1.{ONE.upper()}", "A", "10.0.0.4"),
        (f"db.{ONE}", "A", "10.0.0.4"),
        (f"back.{ONE}", "A", "10.0.1.5"),
        (f"vm-2.{ONE}", "AAAA", "NODATA"),
        (f"vm-2.{ONE}", "TXT", "NODATA"),
        (f"vm-2.{ONE}", "ANY", "10.0.0.5"),
        (f"none.{ONE}", "A", "NXDOMAIN"),
        (f"a.vm-2.{ONE}", "A", "NXDOMAIN"),
        (f"free.{ONE}", "A", "NXDOMAIN"),
        (f"bastion.{ONE}", "A", "NXDOMAIN"),
        (ONE, "A", "NODATA"),
        ("vm-2.internal.cloudapp.net", "A", "10.0.0.5"),
        ("internal.cloudapp.net", "A", "NODATA"),
        # another network's names, peered or not, are not there; and nobody beyond is asked
        (f"vm-3.{TWO}", "A", "NXDOMAIN"),
        ("vm-3.internal.cloudapp.net", "A", "NXDOMAIN"),
        ("vm-2.nosuch.ex.internal.cloudapp.net", "A", "NXDOMAIN"),
        ("vm-2.reddog.microsoft.com", "A", "NXDOMAIN"),
        ("vm-2", "A", "NXDOMAIN"),
        ("vm-2", "AAAA", "NXDOMAIN"),
        ("com", "NS", "forwarded"),
        ("com", "DS", "forwarded"),
        (".", "NS", "forwarded"),
        ("example.com", "A", "forwarded"),
        ("cloudapp.net", "A", "forwarded"),
        ("vm-2.example.internal", "A", "forwarded"),
    ],
)
def test_names(name: str, kind: str, expected: str) -> None:
    assert ask(name, kind) == expected


def test_every_network_has_its_own() -> None:
    assert ask(f"vm-3.{TWO}", of="n3") == "10.1.0.4"
    assert ask("vm-3.internal.cloudapp.net", of="n3") == "10.1.0.4"
    assert ask(f"vm-2.{ONE}", of="n3") == "NXDOMAIN"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.4", "vm-1.internal.cloudapp.net."),
        ("10.0.1.5", "back.internal.cloudapp.net."),
        ("20.5.0.4", "vm-4.internal.cloudapp.net."),
        ("10.0.0.6", "NXDOMAIN"),
        ("20.5.0.9", "NXDOMAIN"),
        ("10.1.0.4", "NXDOMAIN"),
        ("192.168.7.7", "NXDOMAIN"),
        ("168.63.129.16", "NXDOMAIN"),
        ("fd00::1", "NXDOMAIN"),
        ("8.8.8.8", "forwarded"),
        ("2001:4860:4860::8888", "forwarded"),
    ],
)
def test_reverse(address: str, expected: str) -> None:
    assert reverse(address) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0.0.10.in-addr.arpa", "NODATA"),
        ("10.in-addr.arpa", "NODATA"),
        ("x.0.0.10.in-addr.arpa", "NXDOMAIN"),
        ("300.0.0.10.in-addr.arpa", "NXDOMAIN"),
        ("1.4.0.0.10.in-addr.arpa", "NXDOMAIN"),
        ("8.in-addr.arpa", "forwarded"),
        ("in-addr.arpa", "forwarded"),
        ("x.in-addr.arpa", "forwarded"),
        ("d.f.ip6.arpa", "NODATA"),
        ("ip6.arpa", "forwarded"),
    ],
)
def test_parts_of_reverse_names(name: str, expected: str) -> None:
    assert ask(name, "PTR") == expected


def test_reverse_prefixes() -> None:
    def text(name: str) -> tuple[str, bool] | None:
        found = reverse_network(dns.name.from_text(name))
        return (str(found[0]), found[1]) if found else None

    assert text("4.0.0.10.in-addr.arpa.") == ("10.0.0.4/32", True)
    assert text("a.0.10.in-addr.arpa.") == ("10.0.0.0/16", False)
    assert text("_.0.10.in-addr.arpa.") == ("10.0.0.0/16", False)
    assert text("8.B.d.0.1.0.0.2.ip6.arpa.") == ("2001:db8::/32", True)
    assert text("in-addr.arpa.") is None


def test_what_is_missing_may_be_remembered_for_a_while() -> None:
    answer = NAMES.answer("nic:/n1", dns.message.make_query(f"none.{ONE}", "A"))
    assert answer is not None
    (authority,) = answer.authority
    assert (str(authority.name), authority.ttl, authority[0].minimum) == (f"{ONE}.", 10, 10)
    assert "azureprivatedns.net." in ask(ONE, "SOA")


def test_what_is_no_question() -> None:
    notify = dns.message.make_query(ONE, "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    two = dns.message.make_query(f"vm-2.{ONE}", "A")
    two.question = [*two.question, *two.question]
    for query, rcode in (
        (notify, dns.rcode.NOTIMP),
        (two, dns.rcode.FORMERR),
        (dns.message.Message(), dns.rcode.FORMERR),
        (dns.message.make_query(ONE, "AXFR"), dns.rcode.REFUSED),
        (dns.message.make_query("version.bind", "TXT", "CH"), dns.rcode.REFUSED),
    ):
        answer = NAMES.answer("nic:/n1", query)
        assert answer is not None
        assert (answer.rcode(), answer.answer) == (rcode, [])


def test_who_is_no_nic_of_the_world_is_told_nothing() -> None:
    assert ask(f"vm-2.{ONE}", of="gone") == "REFUSED"
    assert ask("example.com", of="gone") == "REFUSED"
