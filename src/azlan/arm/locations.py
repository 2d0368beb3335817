"""Azure's physical regions, as `az account list-locations` printed them in 2024 (names, pairs, places, zones).

The last two are those of early access, which only some subscriptions are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_TABLE = """
eastus|East US|United States|US|Recommended|37.3719|-79.8164|Virginia|westus|3
westus2|West US 2|United States|US|Recommended|47.233|-119.852|Washington|westcentralus|3
southcentralus|South Central US|United States|US|Recommended|29.4167|-98.5|Texas|northcentralus|3
australiaeast|Australia East|Australia|Asia Pacific|Recommended|-33.86|151.2094|New South Wales|australiasoutheast|3
southeastasia|Southeast Asia|Asia Pacific|Asia Pacific|Recommended|1.283|103.833|Singapore|eastasia|3
northeurope|North Europe|Europe|Europe|Recommended|53.3478|-6.2597|Ireland|westeurope|3
swedencentral|Sweden Central|Sweden|Europe|Recommended|60.67488|17.14127|Gävle|swedensouth|3
westeurope|West Europe|Europe|Europe|Recommended|52.3667|4.9|Netherlands|northeurope|3
uksouth|UK South|United Kingdom|Europe|Recommended|50.941|-0.799|London|ukwest|3
centralus|Central US|United States|US|Recommended|41.5908|-93.6208|Iowa|eastus2|3
southafricanorth|South Africa North|South Africa|Africa|Recommended|-25.73134|28.21837|Johannesburg|southafricawest|3
centralindia|Central India|India|Asia Pacific|Recommended|18.5822|73.9197|Pune|southindia|3
eastasia|East Asia|Asia Pacific|Asia Pacific|Recommended|22.267|114.188|Hong Kong|southeastasia|3
japaneast|Japan East|Japan|Asia Pacific|Recommended|35.68|139.77|Tokyo, Saitama|japanwest|3
koreacentral|Korea Central|Korea|Asia Pacific|Recommended|37.5665|126.978|Seoul|koreasouth|3
canadacentral|Canada Central|Canada|Canada|Recommended|43.653|-79.383|Toronto|canadaeast|3
francecentral|France Central|France|Europe|Recommended|46.3772|2.373|Paris|francesouth|3
germanywestcentral|Germany West Central|Germany|Europe|Recommended|50.110924|8.682127|Frankfurt|germanynorth|3
italynorth|Italy North|Italy|Europe|Recommended|45.46888|9.18109|Milan||3
norwayeast|Norway East|Norway|Europe|Recommended|59.913868|10.752245|Norway|norwaywest|3
polandcentral|Poland Central|Poland|Europe|Recommended|52.23334|21.01666|Warsaw||3
spaincentral|Spain Central|Spain|Europe|Recommended|40.4259|3.4209|Madrid||3
switzerlandnorth|Switzerland North|Switzerland|Europe|Recommended|47.451542|8.564572|Zurich|switzerlandwest|3
mexicocentral|Mexico Central|Mexico|Mexico|Recommended|20.588818|-100.389888|Querétaro State||3
uaenorth|UAE North|UAE|Middle East|Recommended|25.266666|55.316666|Dubai|uaecentral|3
brazilsouth|Brazil South|Brazil|South America|Recommended|-23.55|-46.633|Sao Paulo State|southcentralus|3
israelcentral|Israel Central|Israel|Middle East|Recommended|31.2655698|33.4506633|Israel||3
qatarcentral|Qatar Central|Qatar|Middle East|Recommended|25.551462|51.439327|Doha||3
newzealandnorth|New Zealand North|New Zealand|Asia Pacific|Recommended|-36.84853|174.76349|Auckland||3
eastus2|East US 2|United States|US|Recommended|36.6681|-78.3889|Virginia|centralus|3
westus3|West US 3|United States|US|Recommended|33.448376|-112.074036|Phoenix|eastus|3
northcentralus|North Central US|United States|US|Other|41.8819|-87.6278|Illinois|southcentralus|0
westus|West US|United States|US|Other|37.783|-122.417|California|eastus|0
westcentralus|West Central US|United States|US|Other|40.89|-110.234|Wyoming|westus2|0
southafricawest|South Africa West|South Africa|Africa|Other|-34.075691|18.843266|Cape Town|southafricanorth|0
australiacentral|Australia Central|Australia|Asia Pacific|Other|-35.3075|149.1244|Canberra|australiacentral2|0
australiacentral2|Australia Central 2|Australia|Asia Pacific|Other|-35.3075|149.1244|Canberra|australiacentral|0
australiasoutheast|Australia Southeast|Australia|Asia Pacific|Other|-37.8136|144.9631|Victoria|australiaeast|0
japanwest|Japan West|Japan|Asia Pacific|Other|34.6939|135.5022|Osaka|japaneast|0
jioindiawest|Jio India West|India|Asia Pacific|Other|22.470701|70.05773|Jamnagar|jioindiacentral|0
jioindiacentral|Jio India Central|India|Asia Pacific|Other|21.146633|79.08886|Nagpur|jioindiawest|0
koreasouth|Korea South|Korea|Asia Pacific|Other|35.1796|129.0756|Busan|koreacentral|0
southindia|South India|India|Asia Pacific|Other|12.9822|80.1636|Chennai|centralindia|0
westindia|West India|India|Asia Pacific|Other|19.088|72.868|Mumbai|southindia|0
canadaeast|Canada East|Canada|Canada|Other|46.817|-71.217|Quebec|canadacentral|0
francesouth|France South|France|Europe|Other|43.8345|2.1972|Marseille|francecentral|0
germanynorth|Germany North|Germany|Europe|Other|53.073635|8.806422|Berlin|germanywestcentral|0
norwaywest|Norway West|Norway|Europe|Other|58.969975|5.733107|Norway|norwayeast|0
switzerlandwest|Switzerland West|Switzerland|Europe|Other|46.204391|6.143158|Geneva|switzerlandnorth|0
ukwest|UK West|United Kingdom|Europe|Other|53.427|-3.084|Cardiff|uksouth|0
uaecentral|UAE Central|UAE|Middle East|Other|24.466667|54.366669|Abu Dhabi|uaenorth|0
brazilsoutheast|Brazil Southeast|Brazil|South America|Other|-22.90278|-43.2075|Rio|brazilsouth|0
centraluseuap|Central US EUAP|United States|US|Other|41.5908|-93.6208|Iowa|eastus2euap|0
eastus2euap|East US 2 EUAP|United States|US|Other|36.6681|-78.3889|Virginia|centraluseuap|0
"""


@dataclass(frozen=True, slots=True)
class Location:
    """A region; `paired` is empty where it has no pair, `zones` counts its availability zones."""

    name: str
    display: str
    geography: str
    group: str
    category: str
    latitude: str
    longitude: str
    place: str
    paired: str
    zones: int

    def document(self, subscription: str) -> dict[str, Any]:
        """The region as `GET /subscriptions/{id}/locations` lists it."""
        base = f"/subscriptions/{subscription}/locations"
        metadata: dict[str, Any] = {
            "regionType": "Physical",
            "regionCategory": self.category,
            "geography": self.geography,
            "geographyGroup": self.group,
            "longitude": self.longitude,
            "latitude": self.latitude,
            "physicalLocation": self.place,
            "pairedRegion": [{"name": self.paired, "id": f"{base}/{self.paired}"}] if self.paired else [],
        }
        document: dict[str, Any] = {
            "id": f"{base}/{self.name}",
            "name": self.name,
            "type": "Region",
            "displayName": self.display,
            "regionalDisplayName": f"({self.group}) {self.display}",
            "metadata": metadata,
        }
        if self.zones:
            document["availabilityZoneMappings"] = [
                {"logicalZone": str(n), "physicalZone": f"{self.name}-az{n}"} for n in range(1, self.zones + 1)
            ]
        return document


def _parse(line: str) -> Location:
    name, display, geography, group, category, latitude, longitude, place, paired, zones = line.split("|")
    return Location(name, display, geography, group, category, latitude, longitude, place, paired, int(zones))


LOCATIONS: tuple[Location, ...] = tuple(_parse(line) for line in _TABLE.strip().splitlines())
BY_NAME = {location.name: location for location in LOCATIONS}
