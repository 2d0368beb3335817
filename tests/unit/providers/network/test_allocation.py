from azlan.arm.snapshot import Snapshot
from azlan.base.ids import parse_id
from azlan.base.nets import address
from azlan.providers.network.allocation import Taken, free_addresses, is_reserved, new_mac, next_free, usable

SUBNET = parse_id("/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/x")


def test_reserved_addresses() -> None:
    reserved = [n for n in range(128, 160) if is_reserved(address(f"192.168.0.{n}"), "192.168.0.128/27")]
    assert reserved == [128, 129, 130, 131, 159]
    assert usable("192.168.0.128/27") == 27
    assert usable("10.0.0.0/29") == 3


def test_second_prefix_is_used_when_the_first_is_full() -> None:
    taken: Taken = {f"10.0.0.{n}": (None, "somebody") for n in (4, 5, 6)}
    assert next_free(SUBNET, ["10.0.0.0/29", "10.0.1.0/29"], taken) == "10.0.1.4"


def test_ipv6_prefixes_give_no_addresses() -> None:
    assert list(free_addresses(["fd00::/64", "10.0.0.0/29"], set())) == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]


def test_free_addresses_from_a_start() -> None:
    assert next(free_addresses(["10.0.0.0/24"], set(), address("10.0.0.77"))) == "10.0.0.77"
    assert next(free_addresses(["10.0.0.0/24"], set(), address("10.0.0.1"))) == "10.0.0.4"


def test_no_two_revisions_give_the_same_mac() -> None:
    macs = {new_mac(Snapshot(revision=revision)) for revision in range(20_000)}
    assert len(macs) == 20_000
    assert {mac[:8] for mac in macs} == {"00-0D-3A", "00-22-48", "60-45-BD", "7C-1E-52"}
