"""BGP communities of virtual networks: the customer's own, and the one of the region, which Azure adds.

Kept and shown only: nothing here speaks BGP. Follows expressroute-routing (the regions' values, private peering) and
how-to-configure-custom-bgp-communities.
"""

from __future__ import annotations

import re

from azlan.arm.resource import Json, Row, Write
from azlan.providers.network.shapes import invalid, location_of

MICROSOFT = 12076

REGIONS = {
    "westeurope": 2,
    "northeurope": 3,
    "eastus": 4,
    "eastus2": 5,
    "westus": 6,
    "northcentralus": 7,
    "southcentralus": 8,
    "centralus": 9,
    "eastasia": 10,
    "southeastasia": 11,
    "japaneast": 12,
    "japanwest": 13,
    "brazilsouth": 14,
    "australiaeast": 15,
    "australiasoutheast": 16,
    "centralindia": 17,
    "westindia": 18,
    "southindia": 19,
    "canadacentral": 20,
    "canadaeast": 21,
    "uksouth": 24,
    "ukwest": 25,
    "westus2": 26,
    "westcentralus": 27,
    "koreasouth": 28,
    "koreacentral": 29,
    "francecentral": 30,
    "francesouth": 31,
    "australiacentral": 32,
    "australiacentral2": 33,
    "southafricanorth": 34,
    "southafricawest": 35,
    "uaenorth": 36,
    "uaecentral": 37,
    "switzerlandnorth": 38,
    "switzerlandwest": 39,
    "germanynorth": 40,
    "germanywestcentral": 41,
    "norwayeast": 42,
    "norwaywest": 43,
    "westus3": 44,
    "newzealandnorth": 59,
}
"""Region → what is added to 50000. Regions that the document leaves out show no regional community."""


def check(write: Write) -> None:
    """Raise `InvalidBgpCommunity` [code and words unsure] for a community outside 12076:20000 … 12076:29999."""
    community = (write.properties.get("bgpCommunities") or {}).get("virtualNetworkCommunity")
    if community is not None and not re.fullmatch(rf"{MICROSOFT}:2\d{{4}}", community):
        raise invalid(
            "InvalidBgpCommunity",
            f"The BGP community {community} of virtual network {write.id} is not valid. It must be {MICROSOFT}:20000 to "
            f"{MICROSOFT}:29999.",
        )


def shown(vnet: Row) -> Json:
    """`bgpCommunities` of a virtual network that has them."""
    communities = dict(vnet.properties["bgpCommunities"])
    number = REGIONS.get(location_of(vnet))
    if number is not None:
        communities["regionalCommunity"] = f"{MICROSOFT}:{50000 + number}"
    return communities
