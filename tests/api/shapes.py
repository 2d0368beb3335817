"""Requests drawn from one example of each type, on few names and prefixes, so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from api.estate import (
    ADDRESSES,
    ASGS,
    ASSIGNMENTS,
    BASTIONS,
    DEFINITIONS,
    DEPLOYMENTS,
    DISKS,
    GROUPS,
    LOCATION,
    NICS,
    READER,
    ROUTES,
    TEMPLATE,
    VMS,
    VNETS,
    address,
    application_group,
    bastion,
    deployment,
    disk,
    half,
    nic,
    ref,
    route,
    route_table,
    security_group,
    subnet,
    vm,
    vnet,
)
from api.estate import rule as security_rule
from api.mangling import mangled
from api.surface import WATCHERS
from azlan.arm.registry import GROUP_TYPE

Json = dict[str, Any]

GUIDS = ("5f2c1c1e-0c65-4f0c-8f0c-0d5a3a1a7a11", "5f2c1c1e-0c65-4f0c-8f0c-0d5a3a1a7a12")
VERSIONS = ("2015-06-15", "2019-11-01", "2022-05-01", "2024-05-01", "2025-07-01")

numbers = st.integers(0, 3)
networks = st.sampled_from(("v0", "v1", "v2"))
prefixes = st.sampled_from(
    (
        "10.0.0.0/24",
        "10.0.1.0/24",
        "10.0.0.0/25",
        "10.1.0.0/24",
        "10.1.1.0/26",
        "10.2.0.0/24",
        "10.2.4.0/29",
        "fd00::/64",
    )
)
spaces = st.lists(
    st.sampled_from(("10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "10.0.0.0/15", "10.3.0.0/24", "fd00::/48")),
    min_size=1, max_size=2, unique=True,
)  # fmt: skip
subnet_names = st.sampled_from(("a", "b", "AzureBastionSubnet"))
ends = st.sampled_from(("nsg", "none"))
application_groups = st.sampled_from(([], [], [ref(f"{ASGS}/s0")], [ref(f"{ASGS}/s1")]))


@st.composite
def _network(draw: st.DrawFn) -> tuple[str, Json]:
    name = draw(networks)
    space = draw(st.one_of(st.just([f"10.{name[1]}.0.0/16"]), spaces))
    inner = None
    if draw(st.booleans()):
        inner = {sub: draw(prefixes) for sub in draw(st.lists(subnet_names, max_size=2, unique=True))}
    return f"{VNETS}/{name}", vnet(*space, subnets=inner)


@st.composite
def _subnet(draw: st.DrawFn) -> tuple[str, Json]:
    name, at = draw(subnet_names), draw(networks)
    more: Json = {}
    if draw(st.booleans()):
        more["networkSecurityGroup"] = {"id": f"@/{GROUPS}/g{draw(st.integers(0, 1))}"}
    if draw(st.booleans()):
        more["routeTable"] = {"id": f"@/{ROUTES}/t0"}
    return f"{VNETS}/{at}/subnets/{name}", subnet(draw(prefixes), **more)


@st.composite
def _peering(draw: st.DrawFn) -> tuple[str, Json]:
    here, there = draw(networks), draw(networks)
    name = draw(st.sampled_from((f"to-{there}", "p")))
    flags = {"allowVirtualNetworkAccess": draw(st.booleans()), "allowForwardedTraffic": draw(st.booleans())}
    return f"{VNETS}/{here}/virtualNetworkPeerings/{name}", half(there, **flags)


@st.composite
def _rule(draw: st.DrawFn) -> tuple[str, Json]:
    where, name = draw(st.integers(0, 1)), draw(st.sampled_from(("r0", "r1", "R0")))
    body = security_rule(
        draw(st.sampled_from((100, 200, 4096))), destinationPortRange=draw(st.sampled_from(("22", "1-65535", "*")))
    )
    for side in ("source", "destination"):
        if joined := draw(application_groups):
            del body["properties"][f"{side}AddressPrefix"]
            body["properties"][f"{side}ApplicationSecurityGroups"] = joined
    return f"{GROUPS}/g{where}/securityRules/{name}", body


@st.composite
def _interface(draw: st.DrawFn) -> tuple[str, Json]:
    at = f"{draw(networks)}/subnets/{draw(subnet_names)}"
    public = draw(st.sampled_from((None, None, "i0", "i1")))
    more: Json = {}
    if draw(st.booleans()):
        more["networkSecurityGroup"] = {"id": f"@/{GROUPS}/g{draw(st.integers(0, 1))}"}
    body = nic(at, public, **more)
    body["properties"]["ipConfigurations"][0]["properties"]["applicationSecurityGroups"] = draw(application_groups)
    return f"{NICS}/n{draw(st.integers(0, 2))}", body


@st.composite
def _definition(draw: st.DrawFn) -> tuple[str, Json]:
    permissions = [{"actions": draw(st.lists(st.sampled_from(("*/read", "Microsoft.Network/*")), max_size=2))}]
    properties = {
        "roleName": draw(st.sampled_from(("one", "two"))),
        "permissions": permissions,
        "assignableScopes": ["@sub"],
    }
    return f"@sub/providers/{DEFINITIONS}/{draw(st.sampled_from(GUIDS))}", {"properties": properties}


@st.composite
def _assignment(draw: st.DrawFn) -> tuple[str, Json]:
    scope = draw(st.sampled_from(("", f"{VNETS}/v0/providers/", f"{VNETS}/v0/subnets/a/providers/")))
    properties = {"roleDefinitionId": READER, "principalId": draw(st.sampled_from(GUIDS)), "principalType": "User"}
    return f"{scope}{ASSIGNMENTS}/{draw(st.sampled_from(GUIDS))}", {"properties": properties}


@st.composite
def _template(draw: st.DrawFn) -> tuple[str, Json]:
    """A deployment of up to two of the others."""
    resources = []
    for path, body in draw(st.lists(st.one_of(_network(), _subnet(), _rule(), _interface()), max_size=2)):
        namespace, *rest = path.split("/")
        resources.append(
            {
                "type": "/".join((namespace, *rest[::2])),
                "name": "/".join(rest[1::2]),
                "apiVersion": "2024-05-01",
                **body,
            }
        )
    return f"{DEPLOYMENTS}/d{draw(st.integers(0, 1))}", deployment({**TEMPLATE, "resources": resources})


def _fixed(path: str, *bodies: Json) -> st.SearchStrategy[tuple[str, Json]]:
    return st.tuples(numbers.map(lambda n: path.format(n % 2)), st.sampled_from(bodies))


SHAPES: dict[str, st.SearchStrategy[tuple[str, Json]]] = {
    VNETS: _network(),
    f"{VNETS}/subnets": _subnet(),
    f"{VNETS}/virtualNetworkPeerings": _peering(),
    GROUPS: _fixed(f"{GROUPS}/g{{}}", security_group(), security_group(r0=security_rule(100), r1=security_rule(101))),
    f"{GROUPS}/securityRules": _rule(),
    ASGS: _fixed(f"{ASGS}/s{{}}", application_group(), {**application_group(), "tags": {"a": "b"}}),
    ROUTES: _fixed(f"{ROUTES}/t0", route_table(), route_table(x0="0.0.0.0/0", x1="10.9.0.0/16")),
    f"{ROUTES}/routes": _fixed(
        f"{ROUTES}/t0/routes/x{{}}",
        route("10.9.0.0/16"),
        route("0.0.0.0/0", "None", None),
        route("10.8.0.0/16", "Internet", None),
    ),
    NICS: _interface(),
    ADDRESSES: _fixed(
        f"{ADDRESSES}/i{{}}", address(), address("Basic", "Dynamic"), address(dnsSettings={"domainNameLabel": "x"})
    ),
    BASTIONS: _fixed(
        f"{BASTIONS}/b0", bastion("v0/subnets/AzureBastionSubnet", "i0"), bastion("v1/subnets/AzureBastionSubnet", "i1")
    ),
    VMS: _fixed(f"{VMS}/m{{}}", vm("n0"), vm("n1"), vm("n2")),
    WATCHERS: _fixed(f"{WATCHERS}/w0", {"location": LOCATION, "properties": {}}),
    DISKS: _fixed(f"{DISKS}/k0", disk(4), disk(8)),
    DEPLOYMENTS: _template(),
    ASSIGNMENTS: _assignment(),
    DEFINITIONS: _definition(),
    GROUP_TYPE: st.just(("", {"location": LOCATION, "tags": {"a": "b"}})),
}
"""Type → (path, body) of it: good by itself, though the state may refuse it."""

IMPLICIT = ("microsoft.compute/disks", WATCHERS.lower(), "microsoft.resources/resourcegroups")
"""What a write of something else may bring into being."""

written = st.sampled_from(sorted(SHAPES)).flatmap(lambda kind: SHAPES[kind])
mangled_writes = written.flatmap(lambda asked: st.tuples(st.just(asked[0]), mangled(asked[1])))
