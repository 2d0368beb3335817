"""References: permission first, then existence, then state; what is used cannot be deleted."""

from dataclasses import replace

import pytest

from azlan.arm.references import operation_name, singular
from azlan.arm.registry import Registry
from azlan.arm.resource import Reference
from azlan.base.errors import ArmError
from unit.arm import toys
from unit.arm.toys import GUEST, SUB, cloud

BASE = f"/subscriptions/{SUB}/resourceGroups/g/providers/Toy.Net"
BOX = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "s"}, {"name": "t"}]}}


def plug(*sockets: str, **more: object) -> toys.Json:
    return {"location": "eastus2", "properties": {"sockets": [{"id": id} for id in sockets], **more}}


async def test_a_target_must_exist() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        for target in (f"{BASE}/boxes/c/slots/s", f"{BASE}/boxes/b/slots/u"):
            status, code, error = await c.error("PUT", "Toy.Net/plugs/p", plug(target))
            assert (status, code) == (400, "InvalidResourceReference")
            assert error["message"] == (
                f"Resource {target} referenced by resource {BASE}/plugs/p was not found. Please make sure that the "
                "referenced resource exists, and that both resources are in the same region."
            )
        await c.ok("PUT", "Toy.Net/plugs/p", plug(f"{BASE}/BOXES/B/slots/S"))


@pytest.mark.parametrize("target", ["", "x", "/subscriptions", f"{BASE}/boxes/b", f"{BASE}/boxes/b/slots/s/x", 5])
async def test_a_target_must_be_an_id_of_the_type(target: object) -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        body = {"location": "eastus2", "properties": {"sockets": [{"id": target}]}}
        status, code, error = await c.error("PUT", "Toy.Net/plugs/p", body)
        assert (status, code) == (400, "InvalidRequestFormat")
        if isinstance(target, str):
            assert error["details"][0]["code"] == "InvalidJsonReferenceFormat"
            assert "Path properties.sockets[0].id." in error["details"][0]["message"]


async def test_a_type_words_its_own_missing_target() -> None:
    def missing(referring: toys.ResourceId, target: str) -> ArmError:
        return ArmError(404, "Lost", f"{referring.name} → {target.rsplit('/', 1)[-1]}")

    reference = Reference("properties.box.id", ("Toy.Net/boxes",), missing=missing)
    types = Registry.of([t if t is not toys.PLUG else replace(t, references=(reference,)) for t in toys.TYPES])
    async with cloud(types=types) as c:
        await c.group()
        status, code, error = await c.error("PUT", "Toy.Net/plugs/p", plug(box={"id": f"{BASE}/boxes/nope"}))
        assert (status, code, error["message"]) == (404, "Lost", "p → nope")


async def test_what_is_in_use_cannot_be_deleted() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("PUT", "Toy.Net/plugs/p", plug(f"{BASE}/boxes/b/slots/s"))
        await c.settle()
        status, code, error = await c.error("DELETE", "Toy.Net/boxes/b/slots/s")
        assert (status, code) == (400, "InUseSlotCannotBeDeleted")
        assert error["message"] == f"Slot {BASE}/boxes/b/slots/s is in use by {BASE}/plugs/p and cannot be deleted."
        assert (await c.error("DELETE", "Toy.Net/boxes/b"))[1] == "InUseBoxCannotBeDeleted"
        without = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "t"}]}}
        assert (await c.error("PUT", "Toy.Net/boxes/b", without))[1] == "InUseSlotCannotBeDeleted"
        assert (await c.call("DELETE", "Toy.Net/boxes/b/slots/t")).status_code == 202
        await c.ok("PUT", "Toy.Net/plugs/p", plug())
        assert (await c.call("DELETE", "Toy.Net/boxes/b")).status_code == 202


async def test_a_reference_that_does_not_hold_lets_its_target_go() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/plugs/p", plug())
        guarded = [{"name": "s", "properties": {"guard": {"id": f"{BASE}/plugs/p"}}}]
        await c.ok("PUT", "Toy.Net/boxes/b", {"location": "eastus2", "properties": {"size": 1, "slots": guarded}})
        row = c.store.snapshot.rows[f"{BASE}/boxes/b".lower()]
        assert row.refs == (("properties.slots[0].properties.guard.id", f"{BASE}/plugs/p".lower()),)
        assert str(row.element_id(row.refs[0][0])) == f"{BASE}/boxes/b/slots/s"
        assert (await c.call("DELETE", "Toy.Net/plugs/p")).status_code == 202
        await c.settle()
        # Who referred to it may be written again as it was; who did not, may not begin.
        await c.ok("PUT", "Toy.Net/boxes/b/slots/s", guarded[0])
        other = {"location": "eastus2", "properties": {"size": 1, "slots": guarded}}
        assert (await c.error("PUT", "Toy.Net/boxes/c", other))[1] == "InvalidResourceReference"


async def test_a_target_that_is_going_or_has_failed_is_refused() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle({"code": "Broken", "message": "no"})
        status, code, error = await c.error("PUT", "Toy.Net/plugs/p", plug(f"{BASE}/boxes/b/slots/s"))
        assert (status, code) == (400, "ReferencedResourceNotProvisioned")
        assert error["message"] == (
            f"Cannot proceed with operation because resource {BASE}/boxes/b/slots/s used by resource {BASE}/plugs/p is "
            "not in Succeeded state. Resource is in Failed state and the last operation that updated/is updating the "
            "resource is PutBoxOperation."
        )
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        # Updating is no obstacle: writes queue instead (a documented difference from Azure).
        await c.ok("PUT", "Toy.Net/plugs/p", plug(f"{BASE}/boxes/b/slots/s"))
        await c.ok("PUT", "Toy.Net/plugs/p", plug())
        await c.ok("DELETE", "Toy.Net/boxes/b")
        status, code, error = await c.error("PUT", "Toy.Net/plugs/p", plug(f"{BASE}/boxes/b/slots/s"))
        assert (status, code, error["message"]) == (429, "RetryableError", "A retryable error occurred.")
        (detail,) = error["details"]
        assert detail["code"] == "ReferencedResourceNotProvisioned"
        assert "is in Deleting state" in detail["message"]


async def test_the_right_on_a_linked_resource_is_asked_before_existence_is_revealed() -> None:
    async with cloud() as c:
        await c.group()
        await c.group("h")
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.grant(GUEST, "b24988ac-6180-42a0-ab88-20f7382dd24c", f"/subscriptions/{SUB}/resourceGroups/h", "1")
        path = f"/subscriptions/{SUB}/resourceGroups/h/providers/Toy.Net/plugs/p"
        for slot in ("s", "missing"):
            status, code, error = await c.error("PUT", path, plug(f"{BASE}/boxes/b/slots/{slot}"), who=GUEST)
            assert (status, code) == (403, "LinkedAuthorizationFailed")
            assert error["message"] == (
                f"The client '{GUEST.name}' with object id '{GUEST.object_id}' has permission to perform action "
                f"'Toy.Net/plugs/write' on scope '{path}'; however, it does not have permission to perform action(s) "
                f"'Toy.Net/boxes/slots/join/action' on the linked scope(s) '{BASE}/boxes/b/slots/{slot}' (respectively) "
                "or the linked scope(s) are invalid."
            )
        guarded = {"properties": {"guard": {"id": f"{BASE}/plugs/x"}}}
        await c.ok("PUT", f"/subscriptions/{SUB}/resourceGroups/h/providers/Toy.Net/boxes/c", BOX, who=GUEST)
        child = f"/subscriptions/{SUB}/resourceGroups/h/providers/Toy.Net/boxes/c/slots/s"
        _, code, error = await c.error("PUT", child, guarded, who=GUEST)
        assert code == "LinkedAuthorizationFailed"
        assert f"perform action 'Toy.Net/boxes/slots/write' on scope '{child}'; however" in error["message"]
        await c.grant(GUEST, "b24988ac-6180-42a0-ab88-20f7382dd24c", f"{BASE}/boxes/b", "2")
        await c.ok("PUT", path, plug(f"{BASE}/boxes/b/slots/s"), who=GUEST)


@pytest.mark.parametrize(
    ("type", "words", "operation"),
    [
        ("Microsoft.Network/virtualNetworks", "Virtual network", "PutVirtualNetworkOperation"),
        ("Microsoft.Network/virtualNetworks/subnets", "Subnet", "PutSubnetOperation"),
        ("Microsoft.Network/publicIPAddresses", "Public ipaddress", "PutPublicIPAddressOperation"),
        ("Microsoft.Network/firewallPolicies", "Firewall policy", "PutFirewallPolicyOperation"),
    ],
)
def test_names_for_people(type: str, words: str, operation: str) -> None:
    declared = replace(toys.MARK, type=type)
    assert singular(declared) == words
    assert operation_name("PUT", declared) == operation


def test_a_type_may_name_itself() -> None:
    declared = replace(toys.MARK, display={"singular": "Bastion host"})
    assert singular(declared) == "Bastion host"
    assert operation_name("DELETE", declared) == "DeleteBastionHostOperation"
