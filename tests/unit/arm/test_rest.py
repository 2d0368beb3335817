"""The wire: authentication, headers, limits; what is unforeseen is told to the log and not to the client."""

from dataclasses import replace

from azlan.arm.protocol import MOST_BODY
from azlan.arm.registry import Registry
from azlan.arm.resource import View
from unit.arm import toys
from unit.arm.toys import SUB, cloud

BOX = {"location": "eastus2", "properties": {"size": 1}}


async def test_without_a_token_nothing_is_answered() -> None:
    async with cloud() as c:
        for path in ("/tenants", "/subscriptions", f"/subscriptions/{SUB}/resourcegroups/g", "/anything"):
            answer = await c.http.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            assert answer.json()["error"]["code"] == "AuthenticationFailed"


async def test_answers_carry_arms_headers() -> None:
    async with cloud() as c:
        ids = {"x_ms_correlation_request_id": "abc", "x_ms_client_request_id": "mine"}
        answer = await c.call("GET", "/tenants", x_ms_return_client_request_id="true", **ids)
        assert answer.headers["x-ms-correlation-request-id"] == "abc"
        assert answer.headers["x-ms-client-request-id"] == "mine"
        assert len(answer.headers["x-ms-request-id"]) == 36
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        answer = await c.call("GET", "Toy.Net/boxes/b")
        assert answer.headers["etag"] == answer.json()["etag"]


async def test_a_body_beyond_arms_limit_is_refused() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/boxes/b", b" " * (MOST_BODY + 1))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "RequestContentTooLarge")


async def test_what_is_unforeseen_is_a_500_without_details() -> None:
    def broken(_: View) -> None:
        raise RuntimeError("secret words")

    types = Registry.of([t if t is not toys.BOX else replace(t, view=broken) for t in toys.TYPES])
    async with cloud(types=types) as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/boxes/b", BOX)
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "InternalServerError"
        assert "secret" not in answer.text


async def test_poll_urls_go_to_the_host_that_was_asked() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/boxes/b", BOX, Host="management.azure.com")
        assert answer.headers["azure-asyncoperation"].startswith("https://management.azure.com/subscriptions/")
