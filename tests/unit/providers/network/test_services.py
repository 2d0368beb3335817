import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from azlan.arm.locations import BY_NAME
from azlan.base.errors import ArmError
from azlan.providers.network import bgp_communities, services
from ledger import SUBSCRIPTION, Ledger

BELOW = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network"


def answer(handler: Any, **params: str) -> dict[str, Any]:
    params = {"subscription": SUBSCRIPTION, "location": "westus", **params}
    context = SimpleNamespace(params=params, get=Ledger().snapshot.get, api_version="2025-07-01")
    return dict(asyncio.run(handler(context)))


def test_delegations() -> None:
    found = {each["serviceName"]: each for each in answer(services.delegations)["value"]}
    assert found["Microsoft.Web/serverFarms"] == {
        "name": "Microsoft.Web.serverFarms",
        "id": f"{BELOW}/availableDelegations/Microsoft.Web.serverFarms",
        "type": "Microsoft.Network/availableDelegations",
        "serviceName": "Microsoft.Web/serverFarms",
        "actions": ["Microsoft.Network/virtualNetworks/subnets/action"],
    }
    below = f"/subscriptions/{SUBSCRIPTION}/resourceGroup/TEST-rg/providers/Microsoft.Network"
    of_a_group = answer(services.delegations, group="TEST-rg")["value"]
    assert [each["id"].removeprefix(below) for each in of_a_group] == [
        each["id"].removeprefix(BELOW) for each in found.values()
    ]


def test_a_group_that_is_not_there() -> None:
    with pytest.raises(ArmError) as caught:
        answer(services.aliases, group="none")
    assert (caught.value.status, caught.value.code) == (404, "ResourceGroupNotFound")


def test_endpoint_services() -> None:
    found = answer(services.endpoint_services)["value"]
    assert found[0] == {
        "name": "Microsoft.Storage",
        "id": f"{BELOW}/virtualNetworkEndpointServices/Microsoft.Storage",
        "type": "Microsoft.Network/virtualNetworkEndpointServices",
    }
    assert len({each["id"] for each in found}) == len(found) > 10


def test_aliases() -> None:
    found = {each["resourceName"]: each for each in answer(services.aliases, group="test-rg")["value"]}
    assert found["/services/Azure/Batch"] == {
        "name": "servicesAzureBatch",
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroup/test-rg/providers/Microsoft.Network/AvailableServiceAliases/"
        "servicesAzureBatch",
        "type": "Microsoft.Network/AvailableServiceAliases",
        "resourceName": "/services/Azure/Batch",
    }


def test_tags_are_those_of_rules_that_azure_lists_prefixes_of() -> None:
    found = answer(services.tags)
    names = [tag["name"] for tag in found["values"]]
    assert (found["cloud"], found["id"]) == ("Public", f"{BELOW}/serviceTags/Public")
    assert names == sorted(names)
    assert {"Storage", "AzureCloud"} <= set(names)
    assert not {"VirtualNetwork", "Internet", "AzureLoadBalancer", "AzurePlatformDNS"} & set(names)
    assert all(tag["properties"]["addressPrefixes"] == [] for tag in found["values"])


def test_communities_are_of_regions_and_none_twice() -> None:
    assert set(bgp_communities.REGIONS) <= set(BY_NAME)
    assert len(set(bgp_communities.REGIONS.values())) == len(bgp_communities.REGIONS)
