"""A batch: each read as if it had been sent alone, by the same caller."""

from typing import Any

import pytest

from azlan.arm.batch import MOST
from unit.arm.toys import GUEST, OWNER, SUB, Cloud, cloud

BOX = {"location": "eastus2", "properties": {"size": 1}}
PATH = f"/subscriptions/{SUB}/resourceGroups/g/providers/Toy.Net/boxes"


def read(url: str, name: str = "n", method: str = "GET") -> dict[str, str]:
    return {"httpMethod": method, "url": url, "name": name}


async def batch(c: Cloud, *requests: Any, **more: Any) -> list[dict[str, Any]]:
    answer = await c.ok("POST", "/batch?api-version=2015-11-01", {"requests": list(requests)}, **more)
    found: list[dict[str, Any]] = answer["responses"]
    return found


async def test_each_read_has_its_answer() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        alone = await c.call("GET", "Toy.Net/boxes/b")
        version = alone.request.url.params["api-version"]
        one, all, none, unversioned = await batch(
            c,
            read(f"https://management.azure.com{PATH}/b?API-Version={version}", "one"),
            read(f"{PATH}?api-version={version}", "all"),
            read(f"{PATH}/none?api-version={version}", "none"),
            read(f"{PATH}/b", "unversioned"),
        )
        assert (one["name"], one["httpStatusCode"], one["content"]) == ("one", 200, alone.json())
        assert one["headers"]["ETag"] == alone.headers["etag"]
        assert all["content"]["value"] == [alone.json()]
        assert (none["name"], none["httpStatusCode"]) == ("none", 404)
        assert none["content"]["error"]["code"] == "ResourceNotFound"
        assert unversioned["content"]["error"]["code"] == "MissingApiVersionParameter"


async def test_a_batch_gives_no_right() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        version = (await c.call("GET", "Toy.Net/boxes/b")).request.url.params["api-version"]
        (refused,) = await batch(c, read(f"{PATH}/b?api-version={version}"), who=GUEST)
        assert refused["httpStatusCode"] == 403
        assert (await c.http.post("/batch?api-version=2015-11-01", json={"requests": []})).status_code == 401


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_a_batch_only_reads(method: str) -> None:
    async with cloud() as c:
        await c.group()
        (refused,) = await batch(c, read(f"{PATH}/b?api-version=2024-01-01", method=method))
        assert refused["httpStatusCode"] == 405


@pytest.mark.parametrize("request_", [None, 7, {}, {"url": PATH}, {"httpMethod": "GET", "url": 7}, read("https://[x/")])
async def test_what_is_no_request_is_answered_as_such(request_: Any) -> None:
    async with cloud() as c:
        (refused,) = await batch(c, request_)
        assert refused["httpStatusCode"] == 400
        assert refused["content"]["error"]["code"] == "InvalidRequestContent"


@pytest.mark.parametrize("body", [None, [], {}, {"requests": {}}, {"requests": []}, {"requests": [{}] * (MOST + 1)}])
async def test_what_is_no_batch_is_refused(body: Any) -> None:
    async with cloud() as c:
        status, code, _ = await c.error("POST", "/batch?api-version=2015-11-01", body)
        assert (status, code) == (400, "InvalidRequestContent")


async def test_a_batch_has_a_version_and_holds_no_batch() -> None:
    async with cloud() as c:
        answer = await c.http.post(
            "/batch", json={"requests": []}, headers={"Authorization": f"Bearer {OWNER.object_id}"}
        )
        assert answer.json()["error"]["code"] == "MissingApiVersionParameter"
        (inner,) = await batch(c, read("/batch?api-version=2015-11-01"))
        assert inner["httpStatusCode"] >= 400
