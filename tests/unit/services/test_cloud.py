"""What a client that has no token yet learns of the cloud; the shapes by version are in test_extensions."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette

from azlan.services.cloud import CloudMetadata
from azlan.services.identity import UNVALIDATED

from .conftest import ENDPOINT


@pytest.fixture
def http() -> httpx.AsyncClient:
    app = Starlette(routes=CloudMetadata(ENDPOINT).routes())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ENDPOINT)


async def test_graph_says_how_to_do_without_it(http: httpx.AsyncClient) -> None:
    """az goes on without names where Graph refuses it, and repeats these words where it cannot go on."""
    base = (await http.get("/metadata/endpoints?api-version=2022-09-01")).json()["microsoftGraphResourceId"]
    for method, path in (("POST", "directoryObjects/getByIds"), ("GET", "users"), ("GET", "servicePrincipals")):
        answer = await http.request(method, f"{base.rstrip('/')}/v1.0/{path}")
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (403, "Authorization_RequestDenied")
        assert "--assignee-object-id" in error["message"]


async def test_add_az_environment_gets_all_that_it_wants(http: httpx.AsyncClient) -> None:
    """EnvironmentHelper.cs refuses an answer without these; AddAzureRMEnvironment.cs takes the first audience."""
    document = (await http.get("/metadata/endpoints?api-version=1.0")).json()
    assert all(document[name] for name in ("galleryEndpoint", "graphEndpoint", "portalEndpoint"))
    assert document["authentication"]["audiences"][0] == f"{ENDPOINT}/"
    assert document["authentication"]["loginEndpoint"] == f"{ENDPOINT}{UNVALIDATED}/"
