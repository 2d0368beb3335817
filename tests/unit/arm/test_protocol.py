"""HTTP: versions, methods, actions, routes, and whatever a client may send."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unit.arm.toys import GUEST, SUB, cloud

BOX = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "s"}]}}
G = f"/subscriptions/{SUB}/resourceGroups/g"


@pytest.mark.parametrize("path", ["/tenants", f"/subscriptions/{SUB}/resourcegroups", f"{G}/providers/Toy.Net/boxes/b"])
async def test_every_request_names_its_version(path: str) -> None:
    async with cloud() as c:
        headers = {"Authorization": "Bearer aaaaaaaa-0000-0000-0000-000000000001"}
        for query in ("", "?api-version="):
            answer = await c.http.get(path + query, headers=headers)
            assert answer.status_code == 400
            assert answer.json()["error"] == {
                "code": "MissingApiVersionParameter",
                "message": "The api-version query parameter (?api-version=) is required for all requests.",
                "details": [],
            }
        for version in ("2024", "latest", "2024-13-01", "2024-05-01-beta2", "2024-05-01x"):
            assert (await c.error("GET", f"{path}?api-version={version}"))[:2] == (400, "InvalidApiVersionParameter")


async def test_any_well_formed_version_is_taken_and_its_name_has_no_case() -> None:
    async with cloud() as c:
        await c.group()
        for version in ("2015-06-15", "2099-01-01", "2024-05-01-preview", "2016-04-30-PREVIEW"):
            await c.ok("PUT", f"Toy.Net/boxes/b?API-VERSION={version}&api-version={version}", BOX)


async def test_methods_that_are_not_for_a_path() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        for method, path in (
            ("POST", "Toy.Net/boxes/b"),
            ("PUT", "Toy.Net/boxes"),
            ("DELETE", f"/subscriptions/{SUB}/resources"),
            ("DELETE", f"/subscriptions/{SUB}"),
            ("POST", "/tenants"),
            ("GET", "Toy.Run/machines/m/start"),
            ("POST", "Toy.Run/machines/m/peek"),
        ):
            answer = await c.call(method, path, {} if method == "PUT" else None)
            assert (answer.status_code, answer.json()["error"]["code"]) == (405, "MethodNotAllowed"), path
        for path in ("Toy.Net/boxes/b/nothing", "/subscriptions", f"/subscriptions/{SUB}/nothing", "/nothing"):
            answer = await c.call("POST" if path.startswith("Toy") else "GET", path)
            assert answer.status_code in (200, 404)


async def test_an_action_answers_at_once() -> None:
    async with cloud() as c:
        await c.group()
        assert (await c.error("POST", "Toy.Net/boxes/B/ping"))[1] == "ResourceNotFound"
        await c.ok("PUT", "Toy.Net/boxes/B", BOX)
        assert await c.ok("POST", "Toy.Net/boxes/b/PING") == {"pong": "B", "version": "2024-05-01"}
        await c.ok("PUT", "Toy.Run/machines/m", {"location": "eastus2"})
        assert (await c.ok("GET", "Toy.Run/machines/m/peek"))["pong"] == "m"
        await c.grant(GUEST, "acdd72a7-3385-48ef-bd42-f606fba81ae7", G, "1")
        assert (await c.ok("GET", "Toy.Run/machines/m/peek", who=GUEST))["pong"] == "m"
        assert (await c.error("POST", "Toy.Net/boxes/b/ping", who=GUEST))[0] == 403


async def test_arrays_are_read_as_children() -> None:
    async with cloud() as c:
        await c.group()
        box = await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("PUT", "Toy.Net/plugs/P", {"location": "eastus2", "properties": {"box": {"id": box["id"]}}})
        (plug,) = (await c.ok("GET", "Toy.Net/boxes/b"))["properties"]["plugs"]
        assert await c.ok("GET", "Toy.Net/boxes/b/plugs") == {"value": [plug]}
        assert await c.ok("GET", "Toy.Net/boxes/b/PLUGS/p") == plug
        assert await c.ok("GET", "Toy.Net/boxes/b/spares") == {"value": []}
        assert (await c.error("GET", "Toy.Net/boxes/b/plugs/q"))[:2] == (404, "NotFound")
        assert (await c.error("GET", "Toy.Net/boxes/c/plugs"))[:2] == (404, "ResourceNotFound")
        for path in ("plugs", "plugs/p"):
            assert (await c.error("DELETE", f"Toy.Net/boxes/b/{path}"))[:2] == (404, "InvalidResourceType")
            assert (await c.error("GET", f"Toy.Net/boxes/b/{path}", who=GUEST))[:2] == (403, "AuthorizationFailed")


async def test_a_route_of_a_provider() -> None:
    async with cloud() as c:
        path = f"/subscriptions/{SUB}/providers/toy.net/Locations/EastUS/toys"
        assert await c.ok("GET", path) == {"value": ["EastUS", SUB]}
        assert (await c.error("GET", path, who=GUEST))[:2] == (403, "AuthorizationFailed")


async def test_head_says_whether_it_is_there() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("HEAD", "Toy.Net/boxes/b")
        assert (answer.status_code, answer.content) == (404, b"")
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        answer = await c.call("HEAD", "Toy.Net/boxes/b")
        assert (answer.status_code, answer.content) == (204, b"")


async def test_a_secret_is_never_stored() -> None:
    async with cloud() as c:
        await c.group()
        made = await c.ok("PUT", "Toy.Run/machines/m", {"location": "eastus2", "properties": {"password": "hush"}})
        assert "hush" not in str(made) + str(dict(c.store.snapshot.rows))
        answer = await c.call("PUT", "Toy.Run/machines/n", {"location": "eastus2", "properties": {"token": "hush"}})
        assert answer.status_code == 500
        assert "hush" not in answer.text
        assert c.store.snapshot.get(f"{G}/providers/toy.run/machines/n".lower()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2000) | st.sampled_from(["s", "eastus2", G, ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "id", "properties", "size", "slots", "sockets", "location", "tags", "guard", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
PATHS = ["Toy.Net/boxes/b", "Toy.Net/boxes/b/slots/s", "Toy.Net/plugs/p", "Toy.Net/marks/m", "Toy.Net/boxes/b/notes/n"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(["PUT", "PATCH", "DELETE"]), st.sampled_from(PATHS), JSON), max_size=12))
async def test_no_request_is_an_internal_error(requests: list[tuple[str, str, object]]) -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        for method, path, body in requests:
            answer = await c.call(method, path, None if method == "DELETE" else body)
            assert answer.status_code < 500, (method, path, body, answer.text)
            for kind in ("boxes", "plugs", "marks"):
                await c.ok("GET", f"Toy.Net/{kind}")
            c.store.facts()
