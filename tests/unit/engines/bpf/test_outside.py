"""The outside world with real packets: a namespace plays the computer, one beyond it the internet.

guests ── fabric ── outside ── computer (192.168.77.1, forwards) ── internet (8.8.8.8)
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from azlan.contract.facts import UserRoute
from azlan.engines.bpf import outside
from azlan.engines.bpf.namespaces import sysctl
from azlan.engines.bpf.outside import Transits
from fabric_kit import Cloud, Namespace, rule


def test_private_ranges_are_closed_but_for_a_lan() -> None:
    assert "10.0.0.0/8" in outside.unreachable("internet")
    assert "10.0.0.0/8" not in outside.unreachable("lan")
    assert "169.254.0.0/16" in outside.unreachable("lan")


def test_the_link_is_named_by_the_mark() -> None:
    assert outside.link_name("0123abcd") == "azlan-0123abcd"
    long = outside.link_name("/a/path/that is no name")
    assert len(long) <= 15
    assert long != outside.link_name("/another")


def test_two_clouds_begin_at_blocks_of_their_own_and_try_all() -> None:
    candidates = list(outside.link_candidates("0123abcd"))
    assert len(set(candidates)) == 64
    assert candidates[0] != next(outside.link_candidates("89abcdef"))


def test_rules_of_the_computer_never_accept_more_and_masquerade_only_where_it_forwards() -> None:
    block = IPv4Network("192.88.99.8/30")
    text = outside.uplink_rules("azlan-x", block, forwards=False)
    assert 'iifname "azlan-x" ip daddr != 192.88.99.9 drop' in text
    assert "masquerade" not in text
    assert "ip saddr 192.88.99.10" in outside.uplink_rules("azlan-x", block, forwards=True)


@pytest.mark.root
async def test_a_kernel_without_limits_has_an_outside_all_the_same(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "limits", lambda inner: "table ip limits { no such thing")
    cloud.network.vnet("a", "10.0.0.0/16")
    cloud.network.nic("a1", "a", "10.0.0.4")
    await cloud.apply()
    await cloud.plug("a1")
    web = await cloud.engine.metadata_socket()
    assert cloud.guest("a1").connects("169.254.169.254", 80)
    web.close()


class _Map(dict[bytes, bytes]):
    def dump(self) -> dict[bytes, bytes]:
        return dict(self)

    def remove(self, keys: object) -> None:
        for key in list(keys):  # type: ignore[call-overload]
            self.pop(key, None)


def test_transit_addresses_are_unique_and_kept_over_a_restart() -> None:
    maps = {"transit_of": _Map(), "transits": _Map()}
    transits = Transits(maps)
    keys = {bytes([n % 256, n >> 8]) + bytes(14) for n in range(3000)}
    transits.keep(keys, only=True)
    assert len(set(maps["transit_of"].values())) == 3000
    maps["transits"].pop(maps["transit_of"][min(keys)])  # half-written when the process died
    before = dict(maps["transit_of"])
    again = Transits(maps)
    again.load()
    again.keep(keys, only=True)
    assert {key: maps["transit_of"][key] for key in keys - {min(keys)}} == {
        key: before[key] for key in keys - {min(keys)}
    }
    again.keep({max(keys)}, only=True)
    assert list(maps["transit_of"]) == [max(keys)]
    assert list(maps["transits"].values()) == [max(keys)]


@pytest.fixture
async def internet(cloud: Cloud) -> AsyncIterator[Namespace]:
    """A server at 8.8.8.8 behind the computer, which forwards and has an address on its LAN."""
    made = Namespace(cloud.folder / "internet")
    with open(made.path) as target:

        def join(ipr: IPRoute) -> None:
            sysctl("net/ipv4/ip_forward", "1")
            ipr.link("add", ifname="lan0", kind="veth", peer={"ifname": "wan0", "net_ns_fd": target.fileno()})
            index = ipr.link_lookup(ifname="lan0")[0]
            ipr.addr("add", index=index, address="198.18.5.1", prefixlen=24)
            ipr.link("set", index=index, state="up")
            ipr.route("add", dst="default", gateway="198.18.5.2", oif=index)

        cloud.computer.do(join)

    def serve(ipr: IPRoute) -> None:
        index, loopback = ipr.link_lookup(ifname="wan0")[0], ipr.link_lookup(ifname="lo")[0]
        ipr.addr("add", index=index, address="198.18.5.2", prefixlen=24)
        ipr.addr("add", index=loopback, address="8.8.8.8", prefixlen=32)
        ipr.addr("add", index=loopback, address="192.168.1.1", prefixlen=32)
        ipr.link("set", index=index, state="up")

    made.do(serve)
    try:
        yield made
    finally:
        made.remove()


@pytest.mark.root
async def test_two_machines_with_one_private_address_both_reach_the_internet(cloud: Cloud, internet: Namespace) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.vnet("o", "10.0.0.0/16")
    network.vnet("p", "10.0.0.0/16", default_outbound=False)
    for vnet in "aop":
        network.nic(f"{vnet}1", vnet, "10.0.0.4")
    await cloud.apply()
    await cloud.plug("a1", "o1", "p1")
    server = internet.listen(80)
    first, second = (cloud.guest(name).connect("8.8.8.8", 80) for name in ("a1", "o1"))
    for client, word in ((first, b"one"), (second, b"two")):
        peer, _ = server.accept()
        client.sendall(word)
        assert peer.recv(10) == word
        peer.sendall(word)
        assert client.recv(10) == word
    assert cloud.guest("a1").reaches("8.8.8.8")
    assert not cloud.guest("p1").connects("8.8.8.8", 80)
    assert await cloud.dropped("p1", "no_outbound_access") >= 1
    assert await cloud.engine.warnings() == ()


@pytest.mark.root
async def test_egress_reaches_no_address_of_the_computer_and_nothing_private(cloud: Cloud, internet: Namespace) -> None:
    """Even where routes of the user's own lead all of it to the internet."""
    network = cloud.network
    network.routes("t", UserRoute("lan", "192.168.0.0/16", "Internet"), UserRoute("bench", "198.18.0.0/15", "Internet"))
    network.vnet("a", "10.0.0.0/16", table="t")
    network.nic("a1", "a", "10.0.0.4", public=network.public("ip", "203.0.113.7"))
    await cloud.apply()
    await cloud.plug("a1")
    guest = cloud.guest("a1")
    cloud.computer.listen(22)
    internet.listen(22)
    link = next(
        a.get_attr("IFA_ADDRESS")
        for a in cloud.computer.do(lambda ipr: list(ipr.get_addr(family=2)))
        if a.get_attr("IFA_ADDRESS").startswith("192.88.99.")
    )
    assert guest.connects("8.8.8.8", 22)
    assert not guest.connects("192.168.1.1", 22)
    assert not guest.connects("198.18.5.1", 22)
    assert not guest.connects(link, 22)
    assert not guest.connects("169.254.1.1", 22)
    assert await cloud.dropped("a1", "destination_not_public") >= 2


@pytest.mark.root
async def test_a_public_address_is_reached_from_the_computer_through_the_rules(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16", default_outbound=False)
    network.group("g", rule("Ssh", 100, "Inbound", True, protocol="Tcp", source="Internet", ports=((22, 22),)))
    public = network.public("ip", "203.0.113.5")
    network.nic("a1", "a", "10.0.0.4", group="g", public=public)
    await cloud.apply()
    await cloud.plug("a1")
    server = cloud.guest("a1").listen(22)
    cloud.guest("a1").listen(23)
    client = cloud.computer.connect("203.0.113.5", 22)
    peer, _ = server.accept()
    peer.sendall(b"SSH-2.0")
    assert client.recv(20) == b"SSH-2.0"
    assert client.getpeername()[0] == "203.0.113.5"
    assert not cloud.computer.connects("203.0.113.5", 23)
    assert await cloud.dropped("a1", "nic_inbound_rule") >= 1
    # Dissociation ends what runs.
    network.nic("a1", "a", "10.0.0.4", group="g")
    await cloud.apply()
    peer.sendall(b"lost")
    client.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.recv(20)
    assert "203.0.113.5" not in cloud.computer.run("ip", "route").stdout


@pytest.mark.root
async def test_machine_to_machine_by_public_address(cloud: Cloud) -> None:
    """Unpeered VNets meet by public IPs; one without any comes by the outside namespace."""
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.vnet("b", "10.0.0.0/16")
    network.nic("a1", "a", "10.0.0.4", public=network.public("p1", "203.0.113.5"))
    network.nic("b1", "b", "10.0.0.4", public=network.public("p2", "203.0.113.6"))
    network.nic("b2", "b", "10.0.0.5")
    await cloud.apply()
    await cloud.plug("a1", "b1", "b2")
    assert "ttl=64" in cloud.guest("a1").ping("203.0.113.6")
    server = cloud.guest("b1").listen(80)
    client = cloud.guest("a1").connect("203.0.113.6", 80)
    peer, address = server.accept()
    assert address[0] == "203.0.113.5"
    client.sendall(b"hairpin")
    assert peer.recv(10) == b"hairpin"
    server = cloud.guest("a1").listen(81)
    client = cloud.guest("b2").connect("203.0.113.5", 81)
    peer, address = server.accept()
    assert address[0].startswith("192.88.99.")
    peer.sendall(b"x" * 5000)
    assert client.recv(10) == b"x" * 10
    # An ICMP error finds its way back through both translations.
    sender = cloud.guest("a1").udp()
    sender.connect(("203.0.113.6", 4999))
    sender.send(b"x")
    with pytest.raises(ConnectionRefusedError):
        sender.recv(10)


@pytest.mark.root
async def test_a_platform_service_knows_the_nic_by_its_transit_address(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16", default_outbound=False)
    network.vnet("o", "10.0.0.0/16")
    network.group("g", rule("No", 100, "Outbound", False), rule("NoIn", 100, "Inbound", False))
    nics = {name: network.nic(name, name[0], "10.0.0.4", group="g") for name in ("a1", "o1")}
    await cloud.apply()
    await cloud.plug("a1", "o1")
    service = Namespace(cloud.engine.platform_namespace)
    web = service.listen(80, "169.254.169.254")
    dns = service.socket(2)
    dns.bind(("168.63.129.16", 53))
    for name, key in nics.items():
        asker = cloud.guest(name).udp()
        asker.sendto(b"query", ("168.63.129.16", 53))
        query, seen = dns.recvfrom(100)
        assert (query, await cloud.engine.owner_of_transit(seen[0])) == (b"query", (key, "10.0.0.4"))
        dns.sendto(b"answer", seen)
        assert asker.recvfrom(100) == (b"answer", ("168.63.129.16", 53))
        cloud.guest(name).connect("169.254.169.254", 80)
        assert (await cloud.engine.owner_of_transit(web.accept()[1][0])) == (key, "10.0.0.4")
        assert not cloud.guest(name).reaches("169.254.169.254")
    for opened in service._open:
        opened.close()


@pytest.mark.root
async def test_a_rule_that_names_a_platform_service_keeps_from_it(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.group("names", rule("No", 100, "Outbound", False, destination="AzurePlatformDNS"))
    network.group("metadata", rule("No", 100, "Outbound", False, destination="AzurePlatformIMDS"))
    network.nic("a1", "a", "10.0.0.4", group="names")
    network.nic("a2", "a", "10.0.0.5", group="metadata")
    await cloud.apply()
    await cloud.plug("a1", "a2")
    web = await cloud.engine.metadata_socket()
    names = await cloud.engine.platform_sockets()
    names[0].settimeout(0.3)
    for name, reached in (("a1", 169), ("a2", 168)):
        asker = cloud.guest(name)
        assert asker.connects("169.254.169.254", 80) == (reached == 169)
        assert asker.connects("168.63.129.16", 53) == (reached == 168)
        asker.udp().sendto(b"query", ("168.63.129.16", 53))
        if reached == 168:
            assert names[0].recv(10) == b"query"
        else:
            with pytest.raises(TimeoutError):
                names[0].recv(10)
    for opened in (web, *names):
        opened.close()


@pytest.mark.root
async def test_a_machine_that_connects_without_end_is_slowed_down_alone(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.nic("a1", "a", "10.0.0.4")
    network.nic("a2", "a", "10.0.0.5")
    await cloud.apply()
    await cloud.plug("a1", "a2")
    web = await cloud.engine.metadata_socket()

    def connect(name: str) -> bool:
        try:
            cloud.guest(name).connect("169.254.169.254", 80, timeout=0.01).close()
        except OSError:
            return False
        web.accept()[0].close()
        return True

    web.settimeout(2)
    assert sum(connect("a1") for _ in range(300)) < 300
    assert connect("a2")
    web.close()


@pytest.mark.root
async def test_a_network_of_the_computers_own_is_not_taken_from_it(cloud: Cloud) -> None:
    def own(ipr: IPRoute) -> None:
        ipr.link("add", ifname="lan0", kind="bridge")
        index = ipr.link_lookup(ifname="lan0")[0]
        ipr.link("set", index=index, state="up")
        ipr.addr("add", index=index, address="203.0.113.1", prefixlen=24)

    cloud.computer.do(own)
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.nic("a1", "a", "10.0.0.4", public=network.public("ip", "203.0.113.5"))
    network.nic("a2", "a", "10.0.0.5", public=network.public("ip2", "198.51.100.5"))
    await cloud.apply()
    routes = cloud.computer.run("ip", "route").stdout
    assert "203.0.113.5" not in routes
    assert "198.51.100.5" in routes
    assert any("203.0.113.0/24" in warning for warning in await cloud.engine.warnings())


@pytest.mark.root
async def test_a_computer_that_begins_to_forward_is_noticed_at_the_next_start(cloud: Cloud) -> None:
    await cloud.apply()
    assert any("ip_forward is 0" in warning for warning in await cloud.engine.warnings())
    assert "masquerade" not in cloud.computer.run("nft", "list", "ruleset").stdout
    cloud.computer.do(lambda _: sysctl("net/ipv4/ip_forward", "1"))
    await cloud.engine.close()
    cloud.engine = cloud.new_engine()
    assert await cloud.engine.warnings() == ()
    assert cloud.computer.run("nft", "list", "ruleset").stdout.count("masquerade") == 1


@pytest.mark.root
async def test_destroy_leaves_nothing_on_the_computer(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.nic("a1", "a", "10.0.0.4", public=network.public("ip", "203.0.113.5"))
    await cloud.apply()
    await cloud.plug("a1")
    assert cloud.mark in cloud.computer.run("ip", "link").stdout
    await cloud.engine.destroy()
    assert cloud.computer.run("ip", "-br", "link").stdout.split()[0] == "lo"
    assert len(cloud.computer.run("ip", "-br", "link").stdout.splitlines()) == 1
    assert cloud.computer.run("nft", "list", "ruleset").stdout == ""
    assert str(cloud.folder / "run") not in Path("/proc/self/mounts").read_text()
    deadline = time.monotonic() + 5  # the kernel ends namespaces in its own time
    while "eth0" in (links := cloud.guest("a1").run("ip", "link").stdout) and time.monotonic() < deadline:
        time.sleep(0.05)
    cloud.engine = cloud.new_engine()
    assert "eth0" not in links
