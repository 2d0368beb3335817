"""A region gets its network watcher with its first virtual network."""

from __future__ import annotations

from typing import Any

from unit.providers.azure import GUEST, SUB, Azure, azure
from unit.providers.network.watched import vnet

GROUP = f"/subscriptions/{SUB}/resourceGroups/NetworkWatcherRG"
WATCHERS = f"{GROUP}/providers/Microsoft.Network/networkWatchers"
LIST = f"/subscriptions/{SUB}/providers/Microsoft.Network/networkWatchers"


async def names(found: Azure) -> list[str]:
    return [watcher["name"] for watcher in (await found.ok("GET", LIST))["value"]]


async def test_made_with_the_first_network_of_a_region() -> None:
    async with azure() as found:
        assert await names(found) == []
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/a", vnet("10.0.0.0/16"))
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/b", vnet("10.1.0.0/16"))
        away: dict[str, Any] = {**vnet("10.2.0.0/16"), "location": "West Europe"}
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/c", away)
        assert await names(found) == ["NetworkWatcher_eastus2", "NetworkWatcher_westeurope"]
        group = await found.ok("GET", GROUP)
        assert (group["name"], group["location"]) == ("NetworkWatcherRG", "eastus2")
        watcher = await found.ok("GET", f"{WATCHERS}/networkwatcher_EASTUS2")
        assert watcher == {
            "name": "NetworkWatcher_eastus2",
            "id": f"{WATCHERS}/NetworkWatcher_eastus2",
            "etag": watcher["etag"],
            "type": "Microsoft.Network/networkWatchers",
            "location": "eastus2",
            "properties": {"provisioningState": "Succeeded", "runningOperationIds": []},
        }


async def test_made_again_with_the_next_write_of_a_network() -> None:
    async with azure() as found:
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/a", vnet("10.0.0.0/16"))
        await found.call("DELETE", f"{WATCHERS}/NetworkWatcher_eastus2")
        await found.gone(f"{WATCHERS}/NetworkWatcher_eastus2")
        assert await names(found) == []
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/a", vnet("10.0.0.0/16"))
        assert await names(found) == ["NetworkWatcher_eastus2"]


async def test_a_group_that_goes_is_left_alone() -> None:
    async with azure() as found:
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/a", vnet("10.0.0.0/16"))
        await found.call("DELETE", GROUP)
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/b", vnet("10.1.0.0/16"))
        await found.gone(GROUP)
        assert await names(found) == []


async def test_one_a_region() -> None:
    async with azure() as found:
        body = {"location": "eastus2", "properties": {}}
        made = await found.ok("PUT", "Microsoft.Network/networkWatchers/mine", body)
        assert made["properties"]["provisioningState"] == "Succeeded"
        status, code, _ = await found.error("PUT", "Microsoft.Network/networkWatchers/other", body)
        assert (status, code) == (400, "NetworkWatcherCountLimitReached")
        await found.ok("PUT", "Microsoft.Network/networkWatchers/mine", {**body, "tags": {"a": "b"}})
        # A watcher of another name watches the region as well.
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/a", vnet("10.0.0.0/16"))
        assert await names(found) == ["mine"]


async def test_whoever_makes_the_network_need_not_be_allowed_to_make_the_watcher() -> None:
    async with azure() as found:
        role = "4d97b98b-1d4f-4787-a291-c67834d212e7"  # Network Contributor
        name = "33333333-3333-3333-3333-333333333333"
        await found.cloud.grant(GUEST, role, f"/subscriptions/{SUB}/resourceGroups/rg", name)
        await found.ok("PUT", "Microsoft.Network/virtualNetworks/a", vnet("10.0.0.0/16"), who=GUEST)
        assert await names(found) == ["NetworkWatcher_eastus2"]
