"""The activity log: what az's filters find, page by page, and who may read it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from azlan.base.errors import ArmError
from azlan.providers.insights import activity_log
from azlan.providers.insights.activity_log import parse_filter
from unit.providers.azure import GUEST, NETWORK, SUB, Azure, azure

VALUES = f"/subscriptions/{SUB}/providers/microsoft.insights/eventtypes/management/values?api-version=2015-04-01"
SINCE = "eventTimestamp ge 2020-01-01T00:00:00 and eventTimestamp le 2999-01-01T00:00:00"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def asked(filter: str, **more: str) -> str:
    return VALUES + "".join(f"&${name}={quote(value)}" for name, value in {"filter": filter, **more}.items())


async def statuses(found: Azure, filter: str) -> list[tuple[str, str]]:
    values = (await found.ok("GET", asked(f"{SINCE} and {filter}")))["value"]
    return [(event["operationName"]["value"], event["status"]["value"]) for event in values]


async def test_a_write_leaves_its_beginning_and_its_end() -> None:
    async with azure() as found:
        await found.network()
        await found.until("Microsoft.Network/virtualNetworks/v", "Succeeded")
        values = (await found.ok("GET", asked(f"{SINCE} and resourceId eq '{NETWORK}/virtualNetworks/V'")))["value"]
        ended, begun = values
        assert (begun["status"]["value"], begun["eventName"]["value"]) == ("Accepted", "BeginRequest")
        assert (ended["status"]["value"], ended["eventName"]["value"]) == ("Succeeded", "EndRequest")
        assert begun["eventTimestamp"] < ended["eventTimestamp"]
        assert begun["correlationId"] == ended["correlationId"]
        assert ended["resourceId"] == f"{NETWORK}/virtualNetworks/v"
        assert ended["authorization"] == {
            "action": "Microsoft.Network/virtualNetworks/write",
            "scope": f"{NETWORK}/virtualNetworks/v",
        }
        assert (ended["caller"], ended["resourceGroupName"], ended["level"]) == ("owner-app", "rg", "Informational")
        assert ended["resourceProviderName"]["value"] == "Microsoft.Network"
        assert ended["resourceType"]["value"] == "Microsoft.Network/virtualNetworks"
        assert ended["id"].startswith(f"{ended['resourceId']}/events/{ended['eventDataId']}/ticks/6")
        assert ended["eventDataId"] != begun["eventDataId"]


async def test_ids_are_written_as_ever() -> None:
    async with azure() as found:
        await found.network()
        rule = {
            "protocol": "*",
            "sourceAddressPrefix": "*",
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRange": "80",
            "access": "Deny",
            "priority": 100,
            "direction": "Inbound",
        }
        group = f"{NETWORK}/networkSecurityGroups/Guard"
        await found.ok("PUT", group, {"location": "eastus2", "properties": {}})
        await found.ok("PUT", f"{group}/securityRules/Shut", {"properties": rule})
        gone = f"{NETWORK}/routeTables/gone"
        await found.ok("PUT", gone, {"location": "eastus2", "properties": {}})
        await found.call("DELETE", gone)
        await found.gone(gone)
        values = (await found.ok("GET", asked(SINCE)))["value"]
        assert {event["resourceId"] for event in values} >= {group, f"{group}/securityRules/Shut", gone}
        kinds = {event["resourceId"]: event["resourceType"]["value"] for event in values}
        assert kinds[f"{group}/securityRules/Shut"] == "Microsoft.Network/networkSecurityGroups/securityRules"


async def test_filters() -> None:
    async with azure() as found:
        other = f"/subscriptions/{SUB}/resourcegroups/rg2?api-version=2024-11-01"
        await found.ok("PUT", other, {"location": "eastus2"})
        await found.network()
        await found.until("Microsoft.Network/virtualNetworks/v", "Succeeded")
        written = ("Microsoft.Resources/subscriptions/resourceGroups/write", "Succeeded")
        assert await statuses(found, "resourceGroupName eq 'RG2'") == [written], "not those of rg, nor of rg20"
        assert len(await statuses(found, "resourceGroupName eq 'rg'")) == 3
        assert {status for _, status in await statuses(found, "status eq 'Accepted'")} == {"Accepted"}
        assert {name for name, _ in await statuses(found, "resourceProvider eq 'microsoft.network'")} == {
            "Microsoft.Network/virtualNetworks/write"
        }
        assert await statuses(found, "caller eq 'nobody'") == []
        assert await statuses(found, "resourceGroupName eq 'rg' and status eq 'Accepted'") == [
            ("Microsoft.Network/virtualNetworks/write", "Accepted")
        ]
        early = "eventTimestamp ge 2020-01-01T00:00:00Z and eventTimestamp le '2020-01-02T00:00:00Z'"
        assert (await found.ok("GET", asked(early)))["value"] == []
        (one, *_) = (await found.ok("GET", asked(SINCE, select="operationName , status")))["value"]
        assert set(one) == {"operationName", "status"}


async def test_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity_log, "PAGE", 2)
    monkeypatch.setattr(activity_log, "BATCH", 3)
    async with azure() as found:
        for number in range(5):
            group = f"/subscriptions/{SUB}/resourcegroups/g{number}?api-version=2024-11-01"
            await found.ok("PUT", group, {"location": "eastus2"})
        seen: list[str] = []
        link = asked(f"{SINCE} and status eq 'Succeeded'")
        while link:
            page = await found.ok("GET", link)
            assert len(page["value"]) <= 2
            seen += [event["resourceGroupName"] for event in page["value"]]
            link = page.get("nextLink", "").removeprefix("https://localhost:8443")
        assert seen[:6] == ["g4", "g3", "g2", "g1", "g0", "rg"]


async def test_whoever_reads_a_group_reads_its_events_and_no_others() -> None:
    async with azure() as found:
        await found.cloud.grant(
            GUEST, READER, f"/subscriptions/{SUB}/resourceGroups/rg", "33333333-3333-3333-3333-333333333333"
        )
        mine = await found.ok("GET", asked(f"{SINCE} and resourceGroupName eq 'rg'"), who=GUEST)
        assert mine["value"]
        for filter in (SINCE, f"{SINCE} and resourceGroupName eq 'rg2'"):
            status, code, _ = await found.error("GET", asked(filter), who=GUEST)
            assert (status, code) == (403, "AuthorizationFailed")


@pytest.mark.parametrize(
    "filter",
    [
        "nonsense",
        "eventTimestamp gt 2020-01-01",
        "eventTimestamp ge yesterday",
        "colour eq 'red'",
        "caller ge 'x'",
        "resourceId eq '/subscriptions/other/resourceGroups/g'",
    ],
)
def test_filters_that_are_refused(filter: str) -> None:
    with pytest.raises(ArmError) as refused:
        parse_filter(filter, SUB)
    assert (refused.value.status, refused.value.code) == (400, "BadRequest")


def test_times_in_any_zone() -> None:
    found = parse_filter("eventTimestamp ge 2024-01-01T02:00:00+02:00 and eventTimestamp le '2024-01-02'", SUB)
    assert (found.since, found.until) == ("2024-01-01T00:00:00.000000Z", "2024-01-02T00:00:00.000000Z")
