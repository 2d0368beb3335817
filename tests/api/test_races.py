"""Many writers on one resource: of conditional ones exactly one wins, and of all others no acknowledged write is lost.

Etags: RFC 9110, 13.1, as Azure's providers apply them ("conditional requests" of the REST guidelines).
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.estate import (
    ADDRESSES,
    GROUPS,
    LOCATION,
    NICS,
    ROUTES,
    VNETS,
    address,
    half,
    nic,
    placed,
    problem,
    route,
    security_group,
    subnet,
    vnet,
)
from api.estate import rule as security_rule
from api.soundness import at_rest, check_durable, check_sound
from client import ArmClient
from counts import times
from kit import Cloud

WRITERS = times(16, 100)
ROUNDS = times(3, 30)


async def _together(*requests: Any) -> list[Any]:
    return list(await asyncio.gather(*requests))


async def _settled(cloud: Cloud) -> None:
    await at_rest(cloud)
    await check_sound(cloud)
    await check_durable(cloud)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{VNETS}/v", vnet("10.0.0.0/8", subnets={"s": "10.0.0.0/24"})),
        (f"{VNETS}/v/subnets/s", subnet("10.0.0.0/24")),
        (f"{ADDRESSES}/i", address()),
        (f"{GROUPS}/g", security_group(r=security_rule())),
        (f"{GROUPS}/g/securityRules/r", security_rule()),
    ],
)
async def test_one_conditional_writer_wins(fresh: Cloud, arm: ArmClient, path: str, body: Any, method: str) -> None:
    """All hold the etag that is there: one write is taken, the others are told 412."""
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/8", subnets={"s": "10.0.0.0/24"}))
    await arm.put(f"{GROUPS}/g", security_group(r=security_rule()))
    for turn in range(ROUNDS if method != "DELETE" else 1):
        document = await arm.put(path, body)
        await at_rest(fresh)
        etag = (await arm.get(path))["etag"]
        assert etag == document["etag"]
        marked = [_marked(body, n) if method == "PUT" else {"tags": {"w": str(n)}} for n in range(WRITERS)]
        if method == "PATCH" and "tags" not in document and path.count("/") > 2:
            marked = [_marked(body, n) for n in range(WRITERS)]
        sent = (None if method == "DELETE" else one for one in marked)
        answers = await _together(*(arm.request(method, path, one, headers={"If-Match": etag}) for one in sent))
        won = [n for n, answer in enumerate(answers) if answer.status_code < 300]
        lost = [answer for answer in answers if answer.status_code >= 300]
        # Once deleted, the others find nothing to delete, or a resource whose etag is another: never a second winner.
        acted = [n for n in won if answers[n].status_code != 204]
        assert len(acted) == 1, [answer.status_code for answer in answers]
        for answer in lost:
            assert (answer.status_code, problem(answer)["code"]) == (412, "PreconditionFailed")
        await at_rest(fresh)
        if method != "DELETE":
            assert _mark(await arm.get(path)) == str(acted[0]), f"round {turn}"
    await _settled(fresh)


def _marked(body: Any, n: int) -> Any:
    """A body that tells which writer it came from."""
    if "location" in body:
        return {**body, "tags": {"w": str(n)}}
    properties = body["properties"]
    if "addressPrefix" in properties:
        return {"properties": {**properties, "addressPrefix": f"10.{n}.0.0/24"}}
    return {"properties": {**properties, "description": str(n)}}


def _mark(document: Any) -> str:
    properties = document["properties"]
    if "tags" in document:
        return str(document["tags"]["w"])
    return str(
        properties["addressPrefix"].split(".")[1] if "addressPrefix" in properties else properties["description"]
    )


async def test_one_creator_wins(fresh: Cloud, arm: ArmClient) -> None:
    """`If-None-Match: *`, as `az … --if-none-match` sends it."""
    for turn in range(ROUNDS):
        bodies = [{**vnet("10.0.0.0/16"), "tags": {"w": str(n)}} for n in range(WRITERS)]
        path = f"{VNETS}/v{turn}"
        answers = await _together(*(arm.request("PUT", path, body, headers={"If-None-Match": "*"}) for body in bodies))
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [201] + [412] * (WRITERS - 1)
        won = next(n for n, answer in enumerate(answers) if answer.status_code == 201)
        assert (await arm.get(path))["tags"] == {"w": str(won)}
    await _settled(fresh)


async def test_readers_that_write_back_lose_nothing(fresh: Cloud, arm: ArmClient) -> None:
    """Each reads the network, adds a subnet inline, puts it back if nobody was faster: az's own way, made safe by etags."""
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/8", subnets={}))
    refused = 0

    async def add(n: int) -> None:
        nonlocal refused
        while True:
            document = await arm.get(f"{VNETS}/v")
            document["properties"]["subnets"].append(
                {"name": f"s{n}", "properties": {"addressPrefix": f"10.{n}.0.0/24"}}
            )
            answer = await arm.request("PUT", f"{VNETS}/v", document, headers={"If-Match": document["etag"]})
            if answer.status_code == 200:
                return
            assert answer.status_code == 412, answer.text
            refused += 1

    await _together(*(add(n) for n in range(WRITERS)))
    names = {item["name"] for item in (await arm.get(f"{VNETS}/v"))["properties"]["subnets"]}
    assert names == {f"s{n}" for n in range(WRITERS)}
    assert refused
    await _settled(fresh)


async def test_children_added_at_once_are_all_there(fresh: Cloud, arm: ArmClient) -> None:
    """N clients add subnets, peerings, rules and routes to the same parents while others tag and delete beside them."""
    await arm.put(f"{VNETS}/hub", vnet("10.0.0.0/8", subnets={"kept": "10.255.0.0/24"}))
    await arm.put(f"{GROUPS}/g", security_group())
    await arm.put(f"{ROUTES}/t", {"location": LOCATION, "properties": {}})
    for n in range(WRITERS):
        await arm.put(f"{VNETS}/spoke{n}", vnet(f"172.{16 + n // 256}.{n % 256}.0/24"))
        await arm.put(f"{VNETS}/hub/subnets/old{n}", subnet(f"10.{n}.128.0/24"))
    made = [
        path
        for n in range(WRITERS)
        for path in (
            f"{VNETS}/hub/subnets/s{n}",
            f"{VNETS}/hub/virtualNetworkPeerings/to-{n}",
            f"{VNETS}/spoke{n}/virtualNetworkPeerings/to-hub",
            f"{GROUPS}/g/securityRules/r{n}",
            f"{ROUTES}/t/routes/x{n}",
        )
    ]
    bodies = [
        placed(arm, body)
        for n in range(WRITERS)
        for body in (
            subnet(f"10.{n}.0.0/24"),
            half(f"spoke{n}"),
            half("hub"),
            security_rule(100 + n),
            route(f"192.168.{n}.0/24"),
        )
    ]
    answers = await _together(
        *(arm.request("PUT", path, body) for path, body in zip(made, bodies, strict=True)),
        *(arm.request("DELETE", f"{VNETS}/hub/subnets/old{n}") for n in range(WRITERS)),
        *(arm.request("PATCH", f"{VNETS}/hub", {"tags": {f"k{n}": "v"}}) for n in range(WRITERS)),
    )
    assert {answer.status_code for answer in answers[: len(made)]} == {201}
    assert {answer.status_code for answer in answers[len(made) :]} <= {200, 202}
    await at_rest(fresh)
    for path in made:
        document = await arm.get(path)
        assert document["properties"]["provisioningState"] == "Succeeded"
        assert document["properties"].get("peeringState", "Connected") == "Connected"
    hub = (await arm.get(f"{VNETS}/hub"))["properties"]
    assert {item["name"] for item in hub["subnets"]} == {"kept", *(f"s{n}" for n in range(WRITERS))}
    assert len(hub["virtualNetworkPeerings"]) == WRITERS
    await _settled(fresh)


async def test_addresses_are_given_once(fresh: Cloud, arm: ArmClient) -> None:
    """Interfaces made at once in one subnet: every private address, MAC and public IP has one holder."""
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16", subnets={"s": "10.0.0.0/24"}))
    answers = await _together(
        *(arm.request("PUT", f"{NICS}/n{n}", placed(arm, nic("v/subnets/s"))) for n in range(WRITERS))
    )
    assert {answer.status_code for answer in answers} == {201}
    given = [answer.json()["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] for answer in answers]
    assert sorted(given) == sorted(f"10.0.0.{4 + n}" for n in range(WRITERS))
    wanted = placed(arm, nic("v/subnets/s"))
    wanted["properties"]["ipConfigurations"][0]["properties"] |= {
        "privateIPAddress": "10.0.0.200",
        "privateIPAllocationMethod": "Static",
    }
    answers = await _together(*(arm.request("PUT", f"{NICS}/w{n}", wanted) for n in range(WRITERS)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * (WRITERS - 1)
    await arm.put(f"{ADDRESSES}/i", address())
    taken = placed(arm, nic("v/subnets/s", "i"))
    answers = await _together(*(arm.request("PUT", f"{NICS}/p{n}", taken) for n in range(WRITERS)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * (WRITERS - 1)
    await _settled(fresh)


async def test_writer_and_remover_of_a_target(fresh: Cloud, arm: ArmClient) -> None:
    """A group is deleted while interfaces come to refer to it: either it is refused, or they are; nothing dangles."""
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16", subnets={"s": "10.0.0.0/24"}))
    guarded = placed(arm, nic("v/subnets/s", networkSecurityGroup={"id": f"@/{GROUPS}/g"}))
    for turn in range(ROUNDS):
        await arm.put(f"{GROUPS}/g", security_group())
        sent = [arm.request("PUT", f"{NICS}/n{turn}-{n}", guarded) for n in range(4)]
        sent.insert(turn % 5, arm.request("DELETE", f"{GROUPS}/g"))
        answers = await _together(*sent)
        assert {answer.status_code for answer in answers} <= {201, 202, 400, 409, 429}
        await _settled(fresh)
        for n in range(4):
            await arm.delete(f"{NICS}/n{turn}-{n}")


async def test_group_deleted_under_writers(fresh: Cloud, arm: ArmClient) -> None:
    """Writes that were acknowledged go with their group; none comes after it, and nothing of it is left."""
    for turn in range(ROUNDS):
        there = ArmClient(
            arm.http, arm.subscription, arm.headers["Authorization"].removeprefix("Bearer "), f"doomed{turn}"
        )
        await there.put("", {"location": LOCATION})
        await there.put(f"{VNETS}/v", vnet("10.0.0.0/8"))
        writes = [there.request("PUT", f"{VNETS}/v/subnets/s{n}", subnet(f"10.{n}.0.0/24")) for n in range(WRITERS)]
        writes += [there.request("PUT", f"{VNETS}/w{n}", vnet("10.0.0.0/16")) for n in range(WRITERS)]
        writes.insert(len(writes) // 2, there.request("DELETE", ""))
        answers = await _together(*writes)
        assert {answer.status_code for answer in answers} <= {201, 202, 404, 409}
        await at_rest(fresh)
        assert (await there.request("GET", "")).status_code == 404
        assert not [row for row in fresh.process.core.store.snapshot.rows.values() if row.id.group == there.group]
    await _settled(fresh)
