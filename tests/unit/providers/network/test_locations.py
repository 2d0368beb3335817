import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from azlan.base.errors import ArmError
from azlan.providers.network import locations, virtual_networks
from ledger import GROUP, SUBSCRIPTION, Ledger, network_id


@dataclass
class Context:
    """What a route or an action is given, over a ledger's snapshot."""

    cloud: Ledger
    params: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    row: Any = None
    api_version: str = "2025-07-01"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cloud.snapshot, name)


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.vnet("v", "10.0.0.0/16")
    found.subnet("v", "s", "10.0.0.0/28")
    return found


def test_usages_count_what_is_in_the_region(cloud: Ledger) -> None:
    cloud.vnet("w", "10.0.0.0/16", location="westus")
    cloud.put("publicIPAddresses/p", {"publicIPAllocationMethod": "Dynamic"})
    context = Context(cloud, {"subscription": SUBSCRIPTION, "location": "East US 2"}, api_version="2020-04-01")
    found = {u["name"]["value"]: u for u in asyncio.run(locations.usages(context))["value"]}
    assert found["VirtualNetworks"] == {
        "currentValue": 1,
        "id": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/locations/eastus2/usages/VirtualNetworks",
        "limit": 1000,
        "name": {"localizedValue": "Virtual Networks", "value": "VirtualNetworks"},
        "unit": "Count",
    }
    assert (found["PublicIPAddresses"]["currentValue"], found["StaticPublicIPAddresses"]["currentValue"]) == (1, 0)
    newer = asyncio.run(locations.usages(replace(context, api_version="2023-09-01")))["value"]
    assert all(each["isAdjustable"] for each in newer)


def test_dns_names(cloud: Ledger) -> None:
    settings = {"publicIPAllocationMethod": "Static", "dnsSettings": {"domainNameLabel": "web"}}
    cloud.put("publicIPAddresses/p", settings)

    def check(location: str, label: str) -> dict:
        params = {"subscription": SUBSCRIPTION, "location": location}
        return asyncio.run(locations.check_dns_name(Context(cloud, params, {"domainnamelabel": label})))

    assert check("eastus2", "web") == {"available": False}
    assert check("westus", "web") == {"available": True}
    with pytest.raises(ArmError, match="InvalidDomainNameLabel"):
        check("eastus2", "Web!")


def test_private_address_availability(cloud: Ledger) -> None:
    cloud.nic("n", "v/s")

    def check(ip: str) -> dict:
        context = Context(cloud, query={"ipaddress": ip}, row=cloud.row("virtualNetworks/v"))
        return asyncio.run(virtual_networks.check_ip_address(context))

    assert check("10.0.0.9") == {"available": True, "isPlatformReserved": False}
    assert check("10.0.0.4") == {
        "available": False,
        "availableIPAddresses": ["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9"],
        "isPlatformReserved": False,
    }
    assert check("10.0.0.0")["isPlatformReserved"] is True
    assert check("10.0.0.0")["availableIPAddresses"][0] == "10.0.0.5"
    for wrong, code in (("10.0.9.4", "PrivateIPAddressNotInAnySubnet"), ("x", "InvalidIPAddressFormat")):
        with pytest.raises(ArmError) as caught:
            check(wrong)
        assert caught.value.code == code


def test_usages_of_a_network(cloud: Ledger) -> None:
    cloud.nic("n", "v/s")
    found = asyncio.run(virtual_networks.usages(Context(cloud, row=cloud.row("virtualNetworks/v"))))
    assert found == {
        "value": [
            {
                "currentValue": 1.0,
                "id": network_id("virtualNetworks/v/subnets/s"),
                "limit": 11.0,
                "name": {"localizedValue": "Subnet size and usage", "value": "SubnetSpace"},
                "unit": "Count",
            }
        ]
    }
    assert GROUP in found["value"][0]["id"]
