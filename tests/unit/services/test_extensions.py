"""The mirror of az extensions and the cloud's metadata, in the shapes az reads."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile

import httpx
import pytest
from starlette.applications import Starlette

from azlan.providers.compute import images
from azlan.services import extensions
from azlan.services.cloud import CloudMetadata
from azlan.services.extensions import ExtensionMirror, build_wheel, wheel_name

from .conftest import ENDPOINT


@pytest.fixture
def http() -> httpx.AsyncClient:
    app = Starlette(routes=[*CloudMetadata(ENDPOINT).routes(), *ExtensionMirror(ENDPOINT).routes()])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ENDPOINT)


async def test_from_command_to_wheel(http: httpx.AsyncClient) -> None:
    """As az goes: the mirror of the metadata, the command tree, the index, the wheel, its digest."""
    mirror = (await http.get("/metadata/endpoints?api-version=2022-09-01")).json()["azmirrorStorageAccountResourceId"]
    tree = (await http.get(f"{mirror}/extensions/extensionCommandTree.json")).json()
    assert set(tree["network"]["bastion"]) == {"create", "delete", "list", "show", "ssh", "tunnel", "wait"}
    (item,) = (await http.get(f"{mirror}/extensions/index.json")).json()["extensions"][
        tree["network"]["bastion"]["show"]
    ]
    wheel = await http.get(item["downloadUrl"])
    assert hashlib.sha256(wheel.content).hexdigest() == item["sha256Digest"]
    assert item["downloadUrl"].endswith(f"/{item['filename']}")
    assert item["metadata"]["version"] in item["filename"]
    assert "azext.minCliCoreVersion" in item["metadata"]


def test_the_wheel_is_the_same_each_time() -> None:
    assert build_wheel() == build_wheel()


def test_the_wheel_is_whole() -> None:
    with zipfile.ZipFile(io.BytesIO(build_wheel())) as wheel:
        names = set(wheel.namelist())
        info = f"bastion-{extensions.VERSION}.dist-info"
        assert {"azext_bastion/__init__.py", "azext_bastion/bastion.py", "azext_bastion/azext_metadata.json"} <= names
        recorded = {row[0]: row[1] for row in csv.reader(io.StringIO(wheel.read(f"{info}/RECORD").decode()))}
        assert recorded.keys() == names
        for name, digest in recorded.items():
            if digest:
                found = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(name)).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={found}"
        for name in names:
            if name.endswith(".py"):
                compile(wheel.read(name), name, "exec")
                assert b"azlan" not in wheel.read(name).lower().replace(b"of azlan", b"")


def test_the_name_is_one_that_microsofts_replaces() -> None:
    assert wheel_name() == "bastion-0.2.0-py3-none-any.whl"


@pytest.mark.parametrize("path", ["/metadata/endpoints", "//metadata/endpoints"])
async def test_shapes_of_the_metadata(http: httpx.AsyncClient, path: str) -> None:
    new = (await http.get(f"{ENDPOINT}{path}", params={"api-version": "2022-09-01"})).json()
    assert new["authentication"]["loginEndpoint"] == f"{ENDPOINT}/"
    assert new["authentication"]["audiences"][0] == f"{ENDPOINT}/"
    assert new["resourceManager"] == f"{ENDPOINT}/"
    assert {"name", "suffixes"} <= new.keys()
    assert (await http.get(f"{ENDPOINT}{path}", params={"api-version": "2019-05-01"})).json() == [new]
    old = (await http.get(f"{ENDPOINT}{path}", params={"api-version": "2015-01-01"})).json()
    assert old["authentication"] == {"loginEndpoint": f"{ENDPOINT}/", "audiences": [f"{ENDPOINT}/"]}


async def test_every_alias_is_an_image_that_is_there(http: httpx.AsyncClient) -> None:
    document = (await http.get("/metadata/aliases.json")).json()
    linux = document["outputs"]["aliases"]["value"]["Linux"]
    assert set(linux) >= {"Ubuntu2204", "Ubuntu2404", "Debian12"}
    for image in linux.values():
        found = images.find_image(image["publisher"], image["offer"], image["sku"], image["version"])
        assert found is not None, image
