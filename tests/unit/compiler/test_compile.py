"""What a change compiles, what stays the same object, and who is told."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from azlan.compiler.compile import Compiler
from azlan.contract import facts
from azlan.contract.facts import Fact, Facts, PeeringState
from azlan.contract.world import NextHop, Nic, RouteGroup, RuleSet, Tag, Vnet, World
from worlds import default_rules

CONNECTED, INITIATED = PeeringState.CONNECTED, PeeringState.INITIATED


class Cloud:
    """Owners' facts, and a compiler that is told of each change."""

    def __init__(self) -> None:
        self.compiler = Compiler()
        self.owners: dict[str, tuple[Fact, ...]] = {}
        self.revision = 0
        self.world = self.compile(None)

    def compile(self, base: int | None, changed: frozenset[str] = frozenset()) -> World:
        return self.compiler.compile(Facts(self.revision, dict(self.owners), base, changed))

    def put(self, **rows: tuple[Fact, ...] | Fact | None) -> World:
        """Change owners (named without their slash) and compile that change."""
        for name, row in rows.items():
            if row is None:
                self.owners.pop(f"/{name}")
            else:
                self.owners[f"/{name}"] = row if isinstance(row, tuple) else (row,)
        self.revision += 1
        self.world = self.compile(self.revision - 1, frozenset(f"/{name}" for name in rows))
        return self.world


def half(one: str, other: str, prefix: str, state: PeeringState = CONNECTED, **flags: bool) -> facts.Peering:
    return facts.Peering(f"/{one}/to-{other}", f"/{one}", f"/{other}", state, (prefix,), **flags)


def vnet(name: str, space: str, *halves: facts.Peering, **subnet: str | None) -> tuple[Fact, ...]:
    prefix = space.replace("/16", "/20")
    return (
        facts.Space(f"/{name}", (space,), "eastus2"),
        facts.Subnet(f"/{name}/s", f"/{name}", (prefix,), **subnet),  # type: ignore[arg-type]
        *halves,
    )


def nic(name: str, network: str, address: str, public: str | None = None) -> facts.Nic:
    return facts.Nic(
        f"/{name}", f"/{network}/s", "00:0d:3a:00:00:01", (facts.IpConfig(f"/{name}/c", address, public),), machine="/m"
    )


def peered(cloud: Cloud, state: PeeringState = CONNECTED, **flags: bool) -> World:
    return cloud.put(
        a=vnet("a", "10.0.0.0/16", half("a", "b", "10.1.0.0/16", state, **flags)),
        b=vnet("b", "10.1.0.0/16", half("b", "a", "10.0.0.0/16")),
    )


def hops(world: World, group: str) -> dict[str, NextHop]:
    part = world.parts[group]
    assert isinstance(part, RouteGroup)
    return {route.prefix: route.next_hop for route in part.routes if route.active}


def test_parts_of_a_small_network() -> None:
    cloud = Cloud()
    peered(cloud)
    world = cloud.put(
        n=nic("n", "a", "10.0.0.4", "/p"),
        p=facts.PublicAddress("/p", "203.0.113.1"),
        g=facts.SecurityGroup("/g", default_rules()),
        m=facts.Machine("/m", "vm", "m", "ubuntu-22.04", 512, 1, ("/n",)),
    )
    assert set(world.parts) == {"vnet:/a", "vnet:/b", "routes:/a|", "routes:/b|", "nic:/n", "rules:/g", "machine:/m"}
    assert hops(world, "routes:/a|")["10.1.0.0/16"] is NextHop.PEER
    assert world.hosts == ("local",)
    assert dict(world.claims) == {
        "/a": ("vnet:/a", "routes:/a|", "vnet:/b", "routes:/b|", "nic:/n"),
        "/b": ("vnet:/b", "routes:/b|", "vnet:/a", "routes:/a|"),
        "/n": ("nic:/n",),
        "/p": ("nic:/n",),
        "/g": ("rules:/g",),
        "/m": ("machine:/m",),
    }


@pytest.mark.parametrize("state", [INITIATED, PeeringState.DISCONNECTED])
def test_a_peering_acts_only_when_both_halves_are_connected(state: PeeringState) -> None:
    world = peered(Cloud(), state)
    assert "10.1.0.0/16" not in hops(world, "routes:/a|")
    assert "10.0.0.0/16" not in hops(world, "routes:/b|")


def test_a_half_whose_other_half_is_gone_does_nothing() -> None:
    cloud = Cloud()
    peered(cloud)
    assert "10.1.0.0/16" in hops(cloud.world, "routes:/a|")
    world = cloud.put(b=vnet("b", "10.1.0.0/16"))
    assert "10.1.0.0/16" not in hops(world, "routes:/a|")
    assert "10.1.0.0/16" not in hops(cloud.put(b=None), "routes:/a|")


def test_subnets_that_are_not_linked_have_routes_of_their_own() -> None:
    cloud = Cloud()
    peered(cloud)
    cloud.put(n=nic("n", "a", "10.0.0.4"))
    back = facts.Subnet("/a/back", "/a", ("10.0.16.0/20",))
    other = facts.Nic("/o", "/a/back", "00:0d:3a:00:00:02", (facts.IpConfig("/o/c", "10.0.16.4"),), machine="/m")
    cloud.put(o=other)

    def groups(*linked: str) -> tuple[str, str]:
        local = tuple(f"/a/{name}" for name in linked) or None
        link = replace(half("a", "b", "10.1.0.0/20"), local_subnets=local)
        world = cloud.put(a=(*vnet("a", "10.0.0.0/16", link), back))
        n, o = world.parts["nic:/n"], world.parts["nic:/o"]
        assert isinstance(n, Nic)
        assert isinstance(o, Nic)
        named = {key for key in world.parts if key.startswith("routes:/a|")}
        assert named == {n.routes, o.routes}, "none is left over"
        assert named <= set(world.claims["/a"])
        assert named <= set(world.claims["/b"])
        assert hops(world, o.routes)["10.1.0.0/20"] is NextHop.PEER
        whole = Compiler().compile(facts.Facts(cloud.revision, dict(cloud.owners)))
        assert dict(whole.parts) == dict(world.parts)
        return n.routes, o.routes

    assert groups() == ("routes:/a|", "routes:/a|")
    assert groups("s") == ("routes:/a|", "routes:/a||/a/to-b")
    assert groups("back") == ("routes:/a||/a/to-b", "routes:/a|")
    assert groups("back", "s") == ("routes:/a|", "routes:/a|")
    assert "routes:/a||/a/to-b" not in cloud.put(a=(*vnet("a", "10.0.0.0/16"), back)).parts


@pytest.mark.parametrize("nics", [10, 1000, 5000])
def test_a_flip_of_a_peering_compiles_the_same_number_of_parts_whatever_the_number_of_nics(nics: int) -> None:
    cloud = Cloud()
    cloud.owners |= {
        f"/n{i}": (nic(f"n{i}", "ab"[i % 2], f"10.{i % 2}.{1 + i // 2 // 250}.{4 + i // 2 % 250}"),)
        for i in range(nics)
    }
    cloud.owners["/c"] = vnet("c", "10.2.0.0/16", half("c", "a", "10.0.0.0/16"))
    cloud.revision += 1
    before = cloud.compile(None)
    peered(cloud)
    for flags in ({"access": False}, {"access": True}, {"forwarded": False}):
        before = cloud.world
        world = peered(cloud, **flags)
        assert cloud.compiler.compiled_parts == 4
        changed = {key for key, part in world.parts.items() if before.parts[key] is not part}
        assert changed <= {"vnet:/a"}
    before = cloud.world
    world = peered(cloud, INITIATED)
    assert cloud.compiler.compiled_parts == 4
    assert {k for k, part in world.parts.items() if before.parts[k] is not part} == {
        "vnet:/a", "vnet:/b", "routes:/a|", "routes:/b|",
    }  # fmt: skip
    assert len(world.parts) == nics + 6


def test_a_flip_takes_no_more_memory_with_2000_nics_than_with_10() -> None:
    peaks = []
    for nics in (10, 2000):
        cloud = Cloud()
        cloud.owners |= {
            f"/n{i}": (nic(f"n{i}", "ab"[i % 2], f"10.{i % 2}.{1 + i // 2 // 250}.{4 + i // 2 % 250}"),)
            for i in range(nics)
        }
        peered(cloud)
        cloud.owners |= {"/a": vnet("a", "10.0.0.0/16", half("a", "b", "10.1.0.0/16", access=False))}
        cloud.revision += 1
        given = Facts(cloud.revision, cloud.owners, cloud.revision - 1, frozenset({"/a"}))
        tracemalloc.start()
        cloud.compiler.compile(given)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0], peaks


def test_a_new_nic_is_one_part() -> None:
    cloud = Cloud()
    peered(cloud)
    cloud.put(n1=nic("n1", "a", "10.0.0.4"))
    before = cloud.world
    world = cloud.put(n2=nic("n2", "a", "10.0.0.5"))
    assert cloud.compiler.compiled_parts == 1
    assert all(world.parts[key] is part for key, part in before.parts.items())
    assert world.claims["/a"][-2:] == ("nic:/n1", "nic:/n2")


def test_what_comes_out_equal_stays_the_same_object_even_when_everything_is_compiled() -> None:
    cloud = Cloud()
    first = peered(cloud)
    cloud.revision += 5
    second = cloud.compile(base=1234)
    assert second.revision == cloud.revision
    assert cloud.compiler.compiled_parts == len(first.parts)
    assert all(second.parts[key] is part for key, part in first.parts.items())


def test_a_change_that_changes_nothing_shares_everything() -> None:
    cloud = Cloud()
    before = peered(cloud)
    world = peered(cloud)
    assert cloud.compiler.compiled_parts == 0
    assert world.parts == before.parts
    assert all(world.parts[key] is part for key, part in before.parts.items())


def test_a_world_once_given_does_not_change() -> None:
    cloud = Cloud()
    before = peered(cloud)
    parts, claims = dict(before.parts), dict(before.claims)
    cloud.put(n=nic("n", "a", "10.0.0.4"), b=None)
    assert (dict(before.parts), dict(before.claims)) == (parts, claims)


def test_nics_wait_for_their_subnet_and_vnet() -> None:
    cloud = Cloud()
    assert "nic:/n" not in cloud.put(n=nic("n", "a", "10.0.0.4")).parts
    assert cloud.world.claims["/n"] == ()
    full = vnet("a", "10.0.0.0/16")
    assert not cloud.put(a=full[1:]).parts
    world = cloud.put(a=full)
    assert set(world.parts) == {"vnet:/a", "routes:/a|", "nic:/n"}
    assert dict(world.claims) == {"/n": ("nic:/n",), "/a": ("vnet:/a", "routes:/a|", "nic:/n")}
    world = cloud.put(a=full[1:])
    assert not world.parts
    assert dict(world.claims) == {"/n": (), "/a": ()}


def test_a_subnets_rules_and_routes_reach_its_nics() -> None:
    cloud = Cloud()
    cloud.put(a=vnet("a", "10.0.0.0/16"), n=nic("n", "a", "10.0.0.4"))
    route = facts.UserRoute("all", "0.0.0.0/0", "VirtualAppliance", "10.0.0.9")
    world = cloud.put(
        a=vnet("a", "10.0.0.0/16", security_group="/g", route_table="/t"), t=facts.RouteTable("/t", (route,))
    )
    part = world.parts["nic:/n"]
    assert (part.subnet_rules, part.routes) == ("rules:/g", "routes:/a|/t")  # type: ignore[union-attr]
    assert "routes:/a|" not in world.parts
    assert hops(world, "routes:/a|/t")["0.0.0.0/0"] is NextHop.APPLIANCE
    assert world.claims["/t"] == ("vnet:/a", "routes:/a|/t")
    world = cloud.put(t=facts.RouteTable("/t", (replace(route, next_hop="None"),)))
    assert cloud.compiler.compiled_parts == 2
    assert hops(world, "routes:/a|/t")["0.0.0.0/0"] is NextHop.NONE
    world = cloud.put(t=None)
    assert hops(world, "routes:/a|/t")["0.0.0.0/0"] is NextHop.INTERNET


def tagged(world: World, name: str, prefix: str) -> bool:
    part = world.parts[f"vnet:/{name}"]
    assert isinstance(part, Vnet)
    return any(tag.prefix == prefix and tag.tags & Tag.VIRTUAL_NETWORK for tag in part.tags)


def test_forwarded_traffic_makes_the_hubs_other_peers_virtual_network_and_a_spoke_hears_of_them() -> None:
    cloud = Cloud()

    def spoke(forwarded: bool) -> tuple[Fact, ...]:
        return vnet("a", "10.0.0.0/16", half("a", "hub", "10.9.0.0/16", forwarded=forwarded))

    def hub(*, access: bool = True, state: PeeringState = CONNECTED) -> tuple[Fact, ...]:
        to_c = half("hub", "c", "10.2.0.0/16", state, access=access)
        return vnet("hub", "10.9.0.0/16", half("hub", "a", "10.0.0.0/16"), to_c)

    cloud.put(a=spoke(True), hub=hub(), c=vnet("c", "10.2.0.0/16", half("c", "hub", "10.9.0.0/16")))
    assert tagged(cloud.world, "a", "10.9.0.0/16")
    assert tagged(cloud.world, "a", "10.2.0.0/16")
    assert not tagged(cloud.put(hub=hub(access=False)), "a", "10.2.0.0/16")
    assert not tagged(cloud.put(hub=hub(state=INITIATED)), "a", "10.2.0.0/16")
    assert tagged(cloud.put(hub=hub()), "a", "10.2.0.0/16")
    assert not tagged(cloud.put(a=spoke(False)), "a", "10.2.0.0/16")
    assert tagged(cloud.world, "a", "10.9.0.0/16")


def test_hosts_are_those_that_something_is_on() -> None:
    cloud = Cloud()
    machine = facts.Machine("/m", "vm", "m", "ubuntu-22.04", 512, 1, ())
    assert cloud.put(m=replace(machine, host="h3"), k=replace(machine, id="/k", host="h2")).hosts == (
        "local",
        "h2",
        "h3",
    )
    assert cloud.put(k=None).hosts == ("local", "h3")


def test_a_run_that_failed_is_made_good_by_the_next() -> None:
    cloud = Cloud()
    peered(cloud)
    broken = facts.Space("/c", ("not a prefix",), "eastus2")
    with pytest.raises(ValueError, match="not a prefix"):
        cloud.put(c=broken)
    world = cloud.put(c=vnet("c", "10.2.0.0/16"))
    assert set(world.parts) == {"vnet:/a", "vnet:/b", "vnet:/c", "routes:/a|", "routes:/b|", "routes:/c|"}


def allow(name: str, source: str, priority: int = 100) -> facts.SecurityGroup:
    """A group that lets an application security group in."""
    any_port = ((0, 65535),)
    rule = facts.Rule("r", priority, "Inbound", True, "*", (source,), ("*",), any_port, any_port)
    return facts.SecurityGroup(name, (rule, *default_rules()))


def member(name: str, network: str, address: str, *groups: str) -> facts.Nic:
    given = nic(name, network, address)
    return replace(given, ip_configs=(replace(given.ip_configs[0], application_groups=groups),))


def sources(world: World, key: str) -> tuple[str, ...]:
    part = world.parts[key]
    assert isinstance(part, RuleSet)
    return part.inbound[0].sources.prefixes


def test_an_application_group_is_its_members_in_the_vnet_that_is_guarded() -> None:
    cloud = Cloud()
    world = cloud.put(
        a=vnet("a", "10.0.0.0/16", security_group="/g"),
        b=vnet("b", "10.1.0.0/16", security_group="/g"),
        g=allow("/g", "/web"),
        n1=member("n1", "a", "10.0.0.4", "/web"),
        n2=member("n2", "b", "10.1.0.4", "/web"),
        n3=member("n3", "a", "10.0.0.5", "/db"),
        n4=member("n4", "a", "10.0.0.6"),
    )
    assert sources(world, "rules:/g|/a") == ("10.0.0.4/32",)
    assert sources(world, "rules:/g|/b") == ("10.1.0.4/32",)
    assert "rules:/g" not in world.parts
    assert world.parts["nic:/n4"].subnet_rules == "rules:/g|/a"  # type: ignore[union-attr]
    assert world.claims["/g"] == ("rules:/g|/a", "rules:/g|/b")
    assert world.claims["/n1"] == ("nic:/n1", "rules:/g|/a")
    assert world.claims["/n3"] == ("nic:/n3",)


def test_only_the_configurations_that_are_members_count() -> None:
    cloud = Cloud()
    two = member("n", "a", "10.0.0.4", "/web")
    two = replace(two, ip_configs=(*two.ip_configs, facts.IpConfig("/n/d", "10.0.0.9")))
    world = cloud.put(a=vnet("a", "10.0.0.0/16", security_group="/g"), g=allow("/g", "/web"), n=two)
    assert sources(world, "rules:/g|/a") == ("10.0.0.4/32",)


def test_joining_and_leaving_compile_the_rules_that_name_the_group_and_nobody_elses_nic() -> None:
    cloud = Cloud()
    many = {f"n{i}": member(f"n{i}", "a", f"10.0.1.{i}") for i in range(1, 30)}
    cloud.put(a=vnet("a", "10.0.0.0/16", security_group="/g"), g=allow("/g", "/web"), other=allow("/other", "/db"))
    cloud.put(**many)
    assert sources(cloud.world, "rules:/g|/a") == ()
    world = cloud.put(n5=member("n5", "a", "10.0.1.5", "/web"))
    assert cloud.compiler.compiled_parts == 2
    assert sources(world, "rules:/g|/a") == ("10.0.1.5/32",)
    assert world.claims["/n5"] == ("nic:/n5", "rules:/g|/a")
    world = cloud.put(n5=member("n5", "a", "10.0.1.5"))
    assert sources(world, "rules:/g|/a") == ()
    assert world.claims["/n5"] == ("nic:/n5",)


def test_gates_follow_a_group_that_begins_and_ceases_to_name_application_groups() -> None:
    cloud = Cloud()
    guarded = replace(member("n", "a", "10.0.0.4", "/web"), security_group="/g")
    world = cloud.put(a=vnet("a", "10.0.0.0/16"), b=vnet("b", "10.1.0.0/16"), g=allow("/g", "10.9.0.0/24"), n=guarded)
    assert world.parts["nic:/n"].nic_rules == "rules:/g"  # type: ignore[union-attr]
    world = cloud.put(g=allow("/g", "/web"))
    assert world.parts["nic:/n"].nic_rules == "rules:/g|/a"  # type: ignore[union-attr]
    assert sources(world, "rules:/g|/a") == ("10.0.0.4/32",)
    assert {key for key in world.parts if key.startswith("rules:")} == {"rules:/g|/a"}
    world = cloud.put(n=replace(guarded, subnet="/b/s", ip_configs=(facts.IpConfig("/n/c", "10.1.0.4"),)))
    assert {key for key in world.parts if key.startswith("rules:")} == {"rules:/g|/b"}
    world = cloud.put(g=allow("/g", "10.9.0.0/24"))
    assert world.parts["nic:/n"].nic_rules == "rules:/g"  # type: ignore[union-attr]
    assert {key for key in world.parts if key.startswith("rules:")} == {"rules:/g"}
