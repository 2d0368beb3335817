"""The instance metadata service as its users ask it: heads, versions, formats, errors, rates, and whose data it is.

v ── vm-a 10.0.0.4        o ── vm-b 10.0.0.4 (the same space)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from azlan.services import metadata_app
from azlan.services.instance import VERSIONS
from azlan.services.metadata_app import REQUESTS, TOKEN_REQUESTS, MetadataApp
from unit.providers.azure import COMPUTE, azure
from unit.providers.network.watched import Watched, vnet

SOURCES = {
    f"240.0.2.{number}": f"machine:{COMPUTE}/virtualMachines/{name}".lower()
    for number, name in ((1, "vm-a"), (2, "vm-b"))
}
NEWEST = {"newest-versions": ["2025-04-07", "2024-07-17", "2024-03-15"]}
VERSION = "api-version=2021-02-01"


class Asked:
    """The service, asked by one machine or another at a time of the test's."""

    def __init__(self, cloud: Watched) -> None:
        self.cloud = cloud
        self.now = 0.0
        self.world = cloud.world()

        async def who(source: str) -> str | None:
            return SOURCES.get(source)

        snapshot = cloud.azure.cloud.store
        self.app = MetadataApp(who, lambda: self.world, lambda: snapshot.snapshot, lambda: self.now)

    async def send(
        self,
        path: str,
        *,
        source: str = "240.0.2.1",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(source, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://169.254.169.254") as client:
            given = {"Metadata": "true"} if headers is None else headers
            return await client.request(method, path, headers=given, **more)

    async def ask(self, path: str, **more: Any) -> tuple[int, Any]:
        """(status, what the JSON says), at a moment at which nothing was asked for long."""
        self.now += 10
        answer = await self.send(path, **more)
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert "GMT" in answer.headers["date"]
        return answer.status_code, answer.json()

    async def text(self, path: str) -> str:
        self.now += 10
        answer = await self.send(f"/metadata/instance{path}?{VERSION}&format=text")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        return answer.text


@asynccontextmanager
async def asked() -> AsyncIterator[Asked]:
    async with azure() as inner:
        cloud = Watched(inner)
        for name, machine in (("v", "vm-a"), ("o", "vm-b")):
            await inner.ok("PUT", f"Microsoft.Network/virtualNetworks/{name}", vnet("10.0.0.0/16"))
            await cloud.machine(machine, name)
        yield Asked(cloud)


async def test_each_machine_is_told_of_itself_alone() -> None:
    async with asked() as service:
        for source, name in (("240.0.2.1", "vm-a"), ("240.0.2.2", "vm-b")):
            status, document = await service.ask(f"/metadata/instance?{VERSION}", source=source)
            assert (status, document["compute"]["name"]) == (200, name)
            found = document["network"]["interface"][0]["ipv4"]
            assert found["ipAddress"][0]["privateIpAddress"] == "10.0.0.4"
            other = {"vm-a": "vm-b", "vm-b": "vm-a"}[name]
            assert other not in json.dumps(document)
        assert (await service.ask(f"/metadata/instance?{VERSION}", source="240.0.2.3"))[0] == 404


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
async def test_the_header_in_any_case(value: str) -> None:
    async with asked() as service:
        assert (await service.ask(f"/metadata/instance?{VERSION}", headers={"metadata": value}))[0] == 200


@pytest.mark.parametrize("headers", [{}, {"Metadata": "false"}, {"Metadata": ""}, {"Metadata": "true, true"}])
async def test_without_the_header_nothing_is_told(headers: dict[str, str]) -> None:
    async with asked() as service:
        refused = (400, {"error": "Bad request: . Required metadata header not specified"})
        for path in (
            f"/metadata/instance?{VERSION}",
            "/metadata/versions",
            "/metadata",
            "/",
            f"/metadata/nothing?{VERSION}",
        ):
            assert await service.ask(path, headers=headers) == refused
        path = f"/metadata/identity/oauth2/token?{VERSION}&resource=x"
        said = {"error": "bad_request_102", "error_description": "Required metadata header not specified"}
        assert await service.ask(path, headers=headers) == (400, said)


async def test_what_came_by_a_proxy_is_refused() -> None:
    async with asked() as service:
        for value in ("10.0.0.9", ""):
            headers = {"Metadata": "true", "X-Forwarded-For": value}
            status, said = await service.ask(f"/metadata/instance?{VERSION}", headers=headers)
            assert (status, "X-Forwarded-For" in said["error"]) == (400, True)


@pytest.mark.parametrize(
    "query", ["", "?api-version=", "?api-version=2021-02-02", "?api-version=latest", "?Api-Version=2021-02-01"]
)
async def test_a_version_there_must_be(query: str) -> None:
    async with asked() as service:
        words = "Bad request. api-version is invalid or was not specified in the request."
        for path in ("instance", "instance/compute/vmId", "loadbalancer", "scheduledevents", "attested/document"):
            status, said = await service.ask(f"/metadata/{path}{query}")
            assert (status, said.pop("error")) == (400, f"{words} For more information refer to aka.ms/azureimds")
            assert said == NEWEST


async def test_every_version_is_served_and_listed() -> None:
    async with asked() as service:
        assert await service.ask("/metadata/versions") == (200, {"apiVersions": list(VERSIONS)})
        for version in VERSIONS:
            assert (await service.ask(f"/metadata/instance?api-version={version}"))[0] == 200
        assert (await service.ask("/metadata/loadbalancer?api-version=2020-09-01"))[0] == 400


async def test_a_parameter_that_is_given_twice_is_refused() -> None:
    async with asked() as service:
        for query in (f"{VERSION}&{VERSION}", f"{VERSION}&format=json&format=text"):
            assert (await service.ask(f"/metadata/instance?{query}"))[0] == 400
        assert (await service.ask(f"/metadata/instance?{VERSION}&extended=true"))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_get(method: str) -> None:
    async with asked() as service:
        for path in ("instance", "versions", "identity/oauth2/token"):
            assert (await service.ask(f"/metadata/{path}?{VERSION}", method=method))[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/metadata",
        "/",
        "/latest/meta-data",
        "/metadata/nothing",
        "/Metadata/instance",
        "/metadata/Instance",
        "/metadata/versions/2021-02-01",
        "/metadata/instance/nothing",
        "/metadata/instance/compute/Name",
        "/metadata/instance/compute/name/more",
        "/metadata/instance/network/interface/1",
        "/metadata/instance/network/interface/-1",
        "/metadata/instance/network/interface/x",
        "/metadata/instance/network/interface/%C2%B2",
        "/metadata/instance//compute",
        "/metadata/instance/compute/zone/",
        "/metadata/scheduledevents/more",
        "/metadata/attested",
        "/metadata/identity",
        "/metadata/identity/getplatformmetadata",
    ],
)
async def test_what_there_is_not(path: str) -> None:
    async with asked() as service:
        version = "2017-04-02" if path.endswith("zone/") else "2021-02-01"
        assert await service.ask(f"{path}?api-version={version}") == (404, {"error": "Not found"})


async def test_parts_of_the_document() -> None:
    async with asked() as service:

        async def part(path: str) -> Any:
            return (await service.ask(f"/metadata/instance{path}?{VERSION}"))[1]

        whole = await part("")
        assert await part("/") == whole
        assert await part("/compute") == await part("/compute/") == whole["compute"]
        assert await part("/network/interface") == whole["network"]["interface"]
        assert await part("/network/interface/0/ipv4") == whole["network"]["interface"][0]["ipv4"]
        assert await part("/compute/tagsList") == []
        status, said = await service.ask(f"/metadata/instance/compute/vmId?{VERSION}")
        assert (status, list(said)) == (400, ["error"])
        assert (await service.ask(f"/metadata/instance/compute/vmId?{VERSION}&format=json"))[0] == 400
        assert (await service.ask(f"/metadata/instance/compute?{VERSION}&format=xml"))[0] == 400


async def test_as_text() -> None:
    async with asked() as service:
        assert await service.text("") == "compute/\nnetwork/"
        assert await service.text("/network") == "interface/"
        assert await service.text("/network/interface") == "0/"
        assert await service.text("/network/interface/0") == "ipv4/\nipv6/\nmacAddress"
        assert await service.text("/network/interface/0/ipv4/ipAddress/0") == "privateIpAddress\npublicIpAddress"
        assert await service.text("/network/interface/0/ipv4/ipAddress/0/privateIpAddress") == "10.0.0.4"
        assert await service.text("/network/interface/0/ipv4/ipAddress/0/publicIpAddress") == ""
        assert await service.text("/compute/publicKeys") == ""
        assert await service.text("/compute/name") == "vm-a"
        lines = (await service.text("/compute")).split("\n")
        assert {"osProfile/", "storageProfile/", "tagsList/", "vmId"} < set(lines)


async def test_scheduled_events_are_none() -> None:
    async with asked() as service:
        for version in ("2017-08-01", "2020-07-01", "2021-02-01"):
            said = await service.ask(f"/metadata/scheduledevents?api-version={version}")
            assert said == (200, {"DocumentIncarnation": 1, "Events": []})
        start = {"StartRequests": [{"EventId": "f020ba2e-3bc0-4c40-a10b-86575a9eabd5"}]}
        assert (await service.ask("/metadata/scheduledevents?api-version=2020-07-01", method="POST", json=start))[
            0
        ] == 400


async def test_what_vouches_or_balances_is_not_there() -> None:
    async with asked() as service:
        status, said = await service.ask(f"/metadata/attested/document?{VERSION}")
        assert (status, "not served here" in said["error"]) == (404, True)
        status, said = await service.ask(f"/metadata/loadbalancer?{VERSION}")
        assert (status, said["error"].startswith("No load balancer metadata is found.")) == (404, True)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("api-version=2018-02-01&resource=https://management.azure.com/", "Identity not found"),
        ("api-version=2018-02-01&resource=x&client_id=00000000-0000-0000-0000-000000000000", "Identity not found"),
        ("api-version=2018-02-01", "Required query variable 'resource' is missing"),
        ("resource=x", "Required query variable 'api-version' is missing"),
        ("api-version=2017-08-01&resource=x", "The api-version is not supported"),
    ],
)
async def test_no_machine_has_an_identity(query: str, words: str) -> None:
    async with asked() as service:
        said = {"error": "invalid_request", "error_description": words}
        assert await service.ask(f"/metadata/identity/oauth2/token?{query}") == (400, said)


async def test_so_often_a_second_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_app, "REFUSED_SECONDS", 0)
    async with asked() as service:

        async def statuses(path: str, count: int, source: str = "240.0.2.1") -> list[int]:
            return [(await service.send(path, source=source)).status_code for _ in range(count)]

        instance, token = f"/metadata/instance?{VERSION}", f"/metadata/identity/oauth2/token?{VERSION}&resource=x"
        assert await statuses(instance, REQUESTS + 2) == [200] * REQUESTS + [429] * 2
        assert await statuses(instance, 1, "240.0.2.2") == [200]
        assert await statuses(token, TOKEN_REQUESTS + 1) == [400] * TOKEN_REQUESTS + [429]
        service.now += 0.99
        assert await statuses(instance, 1) == [429]
        service.now += 0.02
        assert await statuses(instance, REQUESTS + 1) == [200] * REQUESTS + [429]


async def test_what_is_remembered_of_rates_does_not_grow() -> None:
    now = 0.0
    allowance = metadata_app.Allowance(1, lambda: now)
    for number in range(3 * allowance._MOST):
        now += 0.001
        assert allowance.take(f"machine:/{number}")
    assert len(allowance._asked) <= allowance._MOST + 1
    assert not allowance.take(f"machine:/{number}")


async def test_a_machine_that_is_being_deleted(caplog: pytest.LogCaptureFixture) -> None:
    async with asked() as service:
        await service.cloud.azure.ok("DELETE", "Microsoft.Compute/virtualMachines/vm-a")
        await service.cloud.azure.gone("Microsoft.Compute/virtualMachines/vm-a")
        assert (await service.ask(f"/metadata/instance?{VERSION}"))[0] == 410


async def test_a_failure_of_ours_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/a/path of this computer")

    monkeypatch.setattr(metadata_app, "instance", broken)
    async with asked() as service:
        assert await service.ask(f"/metadata/instance?{VERSION}") == (500, {"error": "Internal Server Error"})
