"""Platform images: the table, the routes that az asks, the alias document."""

from __future__ import annotations

import pytest

from azlan.providers.compute.images import alias_document, find_image, guest_of, platform_images
from unit.providers.azure import SUB, azure

BASE = f"/subscriptions/{SUB}/providers/Microsoft.Compute/locations/eastus2"
JAMMY = f"{BASE}/publishers/Canonical/artifacttypes/vmimage/offers/0001-com-ubuntu-server-jammy"


@pytest.mark.parametrize(
    ("reference", "guest"),
    [
        (("Canonical", "UbuntuServer", "18.04-LTS"), "ubuntu-18.04"),
        (("Canonical", "UbuntuServer", "18_04-lts-gen2"), "ubuntu-18.04"),
        (("Canonical", "0001-com-ubuntu-server-focal", "20_04-lts"), "ubuntu-20.04"),
        (("Canonical", "0001-com-ubuntu-server-focal", "20_04-lts-gen2"), "ubuntu-20.04"),
        (("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts"), "ubuntu-22.04"),
        (("canonical", "0001-COM-ubuntu-server-jammy", "22_04-lts-GEN2"), "ubuntu-22.04"),
        (("Canonical", "ubuntu-24_04-lts", "server"), "ubuntu-24.04"),
        (("Canonical", "ubuntu-24_04-lts", "server-gen1"), "ubuntu-24.04"),
        (("Debian", "debian-12", "12"), "debian-12"),
        (("Debian", "debian-12", "12-gen2"), "debian-12"),
    ],
)
def test_references_and_their_guests(reference: tuple[str, str, str], guest: str) -> None:
    assert guest_of(*reference) == guest
    image = find_image(*reference, "latest")
    assert image is not None
    assert find_image(*reference, image.version) is image
    assert find_image(*reference, "0.0.1") is None


def test_an_unknown_reference() -> None:
    assert find_image("Canonical", "x", "y", "latest") is None
    with pytest.raises(LookupError):
        guest_of("Canonical", "x", "y")


def test_every_alias_leads_to_an_image() -> None:
    aliases = alias_document()["outputs"]["aliases"]["value"]["Linux"]
    assert set(aliases) == {"Ubuntu2204", "Ubuntu2404", "Debian12"}
    for entry in aliases.values():
        assert find_image(entry["publisher"], entry["offer"], entry["sku"], entry["version"]) is not None


async def test_what_az_vm_create_asks() -> None:
    """The two requests as recorded, but for the version's number."""
    async with azure(group=False) as cloud:
        query = "$expand=properties&$orderby=name%20desc&$top=1&api-version=2024-11-01"
        listed = await cloud.ok("GET", f"{JAMMY}/skus/22_04-lts-gen2/versions?{query}")
        assert isinstance(listed, list)
        (newest,) = listed
        shown = await cloud.ok("GET", f"{JAMMY}/skus/22_04-lts-gen2/versions/{newest['name']}?api-version=2024-11-01")
        assert shown["properties"]["osDiskImage"]["operatingSystem"] == "Linux"
        assert shown["properties"]["hyperVGeneration"] == "V2"
        assert shown["id"].endswith(f"/Skus/22_04-lts-gen2/Versions/{newest['name']}")


async def test_an_older_release_as_recorded() -> None:
    """18.04-LTS is of generation 1; its last version is known by a recording."""
    async with azure(group=False) as cloud:
        skus = f"{BASE}/publishers/Canonical/artifacttypes/vmimage/offers/UbuntuServer/skus"
        listed = await cloud.ok("GET", f"{skus}/18.04-LTS/versions?$top=1&$orderby=name%20desc&api-version=2024-07-01")
        assert [entry["name"] for entry in listed] == ["18.04.202401161"]
        shown = await cloud.ok("GET", f"{skus}/18.04-LTS/versions/18.04.202401161?api-version=2024-07-01")
        assert shown["properties"]["hyperVGeneration"] == "V1"


async def test_what_az_vm_image_list_asks() -> None:
    async with azure(group=False) as cloud:
        publishers = {entry["name"] for entry in await cloud.ok("GET", f"{BASE}/publishers")}
        assert publishers == {"Canonical", "Debian"}
        found = set()
        for publisher in publishers:
            types = await cloud.ok("GET", f"{BASE}/publishers/{publisher}/artifacttypes")
            assert [entry["name"] for entry in types] == ["VMImage"]
            offers = f"{BASE}/publishers/{publisher}/artifacttypes/vmimage/offers"
            for offer in await cloud.ok("GET", offers):
                for sku in await cloud.ok("GET", f"{offers}/{offer['name']}/skus"):
                    for version in await cloud.ok("GET", f"{offers}/{offer['name']}/skus/{sku['name']}/versions"):
                        assert "properties" not in version
                        found.add(f"{publisher}:{offer['name']}:{sku['name']}:{version['name']}")
        assert found == {image.urn for image in platform_images()}


@pytest.mark.parametrize(
    "path",
    [
        f"{BASE}/publishers/Nobody/artifacttypes",
        f"{BASE}/publishers/Nobody/artifacttypes/vmimage/offers",
        f"{JAMMY}/skus/none/versions",
        f"{JAMMY}/skus/22_04-lts/versions/1.2.3",
    ],
)
async def test_images_that_are_not_there(path: str) -> None:
    async with azure(group=False) as cloud:
        status, code, error = await cloud.error("GET", path)
        assert (status, code, error["message"]) == (404, "NotFound", "Artifact: VMImage was not found.")


async def test_no_community_galleries() -> None:
    async with azure(group=False) as cloud:
        assert (await cloud.error("GET", f"{BASE}/communityGalleries/x"))[:2] == (404, "ResourceNotFound")
