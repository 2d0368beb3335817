"""A network interface's counters in the shape of Azure's metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from unit.providers.azure import NETWORK, Azure, azure

NIC = f"{NETWORK}/networkInterfaces/n"
BELOW = f"{NIC}/providers/microsoft.insights"
VERSION = "api-version=2018-01-01"


class Counting:
    """An engine that has counted."""

    def __init__(self, *counters: dict[str, int]) -> None:
        self._counters = counters

    async def counters(self) -> dict[str, dict[str, int]]:
        if not self._counters:
            raise ConnectionError("no fabric process answers")
        return {f"nic:{NIC.lower()}": self._counters[0], "nic:/other": {"delivered": 99}}


@pytest.fixture
async def found() -> AsyncIterator[Azure]:
    async with azure() as made:
        await made.network()
        await made.nic("n")
        count(made, {"delivered": 7, "bytes": 700, "spoofed_source": 2, "nic_inbound_rule": 5, "arp": 0})
        yield made


def count(found: Azure, *counters: dict[str, int]) -> None:
    core = found.cloud.core
    core.runtime = replace(core.runtime, engine=cast(Any, Counting(*counters)))


def totals(found: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
    return {
        metric["name"]["value"]: [
            (series["metadatavalues"][0]["value"] if series["metadatavalues"] else "", series["data"][0]["total"])
            for series in metric["timeseries"]
        ]
        for metric in found["value"]
    }


async def test_totals(found: Azure) -> None:
    shown = await found.ok("GET", f"{BELOW}/metrics?{VERSION}")
    assert totals(shown) == {
        "PacketsDelivered": [("", 7.0)],
        "BytesDelivered": [("", 700.0)],
        "PacketsDropped": [("", 7.0)],
    }
    assert (shown["namespace"], shown["resourceregion"]) == ("Microsoft.Network/networkInterfaces", "eastus2")


async def test_drops_by_reason(found: Azure) -> None:
    query = f"metricnames=packetsdropped&{VERSION}&$filter=Reason eq "
    assert totals(await found.ok("GET", f"{BELOW}/metrics?{query}'*'")) == {
        "PacketsDropped": [("nic_inbound_rule", 5.0), ("spoofed_source", 2.0)]
    }
    assert totals(await found.ok("GET", f"{BELOW}/metrics?{query}'spoofed_source'")) == {
        "PacketsDropped": [("spoofed_source", 2.0)]
    }


async def test_definitions(found: Azure) -> None:
    shown = (await found.ok("GET", f"{BELOW}/metricDefinitions?{VERSION}"))["value"]
    assert [metric["name"]["value"] for metric in shown] == ["PacketsDelivered", "BytesDelivered", "PacketsDropped"]
    assert shown[2]["dimensions"] == [{"value": "Reason", "localizedValue": "Reason"}]


async def test_an_interface_that_never_ran_has_counted_nothing(found: Azure) -> None:
    count(found, {})
    assert totals(await found.ok("GET", f"{BELOW}/metrics?{VERSION}"))["PacketsDropped"] == [("", 0.0)]


async def test_refusals(found: Azure) -> None:
    for path, status, code in (
        (f"{BELOW}/metrics?metricnames=Speed&{VERSION}", 400, "BadRequest"),
        (f"{BELOW}/metrics?$filter=Colour eq 'red'&{VERSION}", 400, "BadRequest"),
        (f"{BELOW.replace('/n/', '/none/')}/metrics?{VERSION}", 404, "ResourceNotFound"),
    ):
        assert (await found.error("GET", path))[:2] == (status, code)
    count(found)
    assert (await found.error("GET", f"{BELOW}/metrics?{VERSION}"))[:2] == (503, "ServiceUnavailable")
