"""The model of the Az modules' client is as strict as they are: what they wait for, what they throw at, what they write.

A cloud whose answers are spoiled on their way must not get through the tab: the tests of test_powershell.py can fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit import cloud
from parity.powershell.models import SerializationException, read, write
from parity.powershell.player import Deviation, shell, tab
from parity.powershell.runtime import CloudException, ServiceClient
from parity.test_powershell import play, soon
from standing import PASSWORD

VNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"
OPERATION = "https://cloud/subscriptions/s/providers/Microsoft.Network/locations/l/operations/o?api-version=1"
RESULT = "https://cloud/subscriptions/s/operationresults/o?api-version=1"
ASYNC = {"Azure-AsyncOperation": OPERATION}


class Script:
    """Answers in their order, and what was asked."""

    def __init__(self, *answers: tuple[int, Any, dict[str, str]]) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.waited: list[float] = []

    async def run(self, method: str) -> Any:
        async def pause(seconds: float) -> None:
            self.waited.append(seconds)

        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            status, body, headers = self._answers.pop(0)
            return httpx.Response(status, headers=headers, content=b"" if body is None else json.dumps(body).encode())

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="https://cloud") as http:
            always = {"x-ms-client-request-id": "i", "CommandName": "c"}
            client = ServiceClient(http, "token", "2024-03-01", always, {"Accept-Language": "en-US"}, pause)
            first = await client.send(method, VNET, {}, {} if method == "PUT" else None, (200, 201, 202, 204))
            made = await client.finished(first)
        assert not self._answers, "answers were left over"
        return made

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path.rsplit('/', 2)[-2]}" for request in self.asked]


def resource(state: str) -> dict[str, Any]:
    return {"name": "v", "properties": {"provisioningState": state}}


async def test_an_operation_is_polled_as_told_and_the_resource_is_read_at_its_end() -> None:
    script = Script(
        (201, resource("Updating"), {**ASYNC, "Retry-After": "3"}),
        (200, {"status": "InProgress"}, {"Retry-After": "20"}),
        (200, {"status": "InProgress"}, {}),
        (200, {"status": "Succeeded"}, {}),
        (200, resource("Succeeded"), {}),
    )
    assert await script.run("PUT") == resource("Succeeded")
    assert script.waited == [3, 20, 20]
    assert script.paths() == ["PUT virtualNetworks", *["GET operations"] * 3, "GET virtualNetworks"]
    assert [request.headers.get("Accept-Language") for request in script.asked][1:4] == [None] * 3
    assert {request.headers["x-ms-client-request-id"] for request in script.asked} == {"i"}


@pytest.mark.parametrize(("told", "waits"), [({}, 30), ({"Retry-After": "0.05"}, 10), ({"Retry-After": "0"}, 0)])
async def test_what_is_waited_for(told: dict[str, str], waits: float) -> None:
    script = Script(
        (201, resource("Updating"), {**ASYNC, **told}),
        (200, {"status": "Succeeded"}, {}),
        (200, resource("Succeeded"), {}),
    )
    await script.run("PUT")
    assert script.waited == [waits]


async def test_an_operation_that_has_ended_is_not_polled() -> None:
    """A network interface: Succeeded in the first answer, with an operation all the same."""
    script = Script((201, resource("Succeeded"), ASYNC), (200, resource("Succeeded"), {}))
    await script.run("PUT")
    assert (script.waited, script.paths()) == ([], ["PUT virtualNetworks", "GET virtualNetworks"])
    script = Script((200, resource("Succeeded"), {}))
    assert await script.run("PUT") == resource("Succeeded")


async def test_a_resource_without_headers_is_polled_itself() -> None:
    script = Script((201, resource("Creating"), {}), (200, resource("Creating"), {}), (200, resource("Succeeded"), {}))
    assert await script.run("PUT") == resource("Succeeded")


async def test_what_is_followed_where_both_headers_are_given() -> None:
    both = {**ASYNC, "Location": RESULT}
    ended = (200, {"status": "Succeeded"}, {})
    script = Script((202, None, both), ended, (200, None, {}))
    await script.run("DELETE")
    assert script.paths()[1:] == ["GET operations", "GET operationresults"]
    script = Script((201, None, both), (202, None, {}), ended, (200, None, {}))
    await script.run("DELETE")  # 201 leads to Location, 202 to the operation
    assert script.paths()[1:] == ["GET operationresults", "GET operations", "GET operationresults"]
    script = Script((202, None, both), ended, (200, resource("Succeeded"), {}))
    await script.run("PUT")
    assert script.paths()[1:] == ["GET operations", "GET virtualNetworks"]


async def test_a_first_answer_that_says_failed_is_handed_on() -> None:
    script = Script((201, resource("Failed"), ASYNC))
    assert await script.run("PUT") == resource("Failed")


async def test_an_acceptance_without_headers_is_asked_again_where_it_is() -> None:
    script = Script((202, None, {}), (200, resource("Succeeded"), {}))
    assert await script.run("PUT") == resource("Succeeded")


@pytest.mark.parametrize("last", [200, 204, 404, 412])
async def test_a_deletion_reads_its_result_once_more(last: int) -> None:
    here = {"Location": RESULT, "Retry-After": "15"}
    script = Script((202, None, here), (202, None, here), (200, None, {}), (last, None, {}))
    assert await script.run("DELETE") is None
    assert (script.waited, script.paths()[1:]) == ([15, 15], ["GET operationresults"] * 3)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"status": "Failed", "error": {"code": "Bad", "message": "no"}}, {}),
        (200, {"status": "Canceled"}, {}),
        (200, None, {}),
        (200, {}, {}),
        (404, {"error": {"code": "NotFound", "message": "no"}}, {}),
    ],
)
async def test_operations_that_throw(answer: tuple[int, Any, dict[str, str]]) -> None:
    with pytest.raises(CloudException):
        await Script((201, resource("Updating"), ASYNC), answer).run("PUT")


async def test_an_acceptance_that_names_nothing_to_poll_throws() -> None:
    with pytest.raises(CloudException, match="202 without"):
        await Script((202, None, {})).run("DELETE")


async def test_a_request_that_the_client_would_send_again() -> None:
    with pytest.raises(AssertionError, match="would retry"):
        await Script((503, None, {})).run("PUT")


@pytest.mark.parametrize(
    ("model", "document"),
    [
        ("VirtualNetwork", {"properties": {"subnets": {}}}),
        ("VirtualNetwork", {"properties": []}),
        ("VirtualNetwork", {"properties": None}),
        ("VirtualNetwork", {"properties": {"subnets": [""]}}),
        ("BastionHost", {"properties": {"scaleUnits": True}}),
        ("VirtualNetwork", {"name": {}}),
        ("PublicIPAddress", {"properties": {"idleTimeoutInMinutes": "four"}}),
        ("DnsNameAvailabilityResult", {"available": "yes"}),
        ("VirtualMachineImage", {"properties": {"osDiskImage": {"operatingSystem": "Plan9"}}}),
        ("VirtualMachine", {"properties": {"timeCreated": "today"}}),
        ("[VirtualNetworkPeering]", {"value": None}),
        ("array VirtualMachineImageResource", {"value": []}),
        ("ResourceGroup", None),
    ],
)
def test_answers_that_cannot_be_read(model: str, document: Any) -> None:
    with pytest.raises(SerializationException):
        read(model, document)


def test_what_is_converted_and_what_is_skipped() -> None:
    given = {"NAME": "v", "more": 1, "tags": {"a": "b"}, "properties": {"flowTimeoutInMinutes": "4", "subnets": None}}
    assert read("VirtualNetwork", given) == {"name": "v", "tags": {"a": "b"}, "properties": {"flowTimeoutInMinutes": 4}}
    empty = {"ddosProtectionPlan": "", "subnets": "", "enableDdosProtection": "", "resourceGuid": ""}
    assert read("VirtualNetwork", {"properties": empty})["properties"]["resourceGuid"] == ""
    image = read("VirtualMachineImage", {"properties": {"osDiskImage": {"operatingSystem": "linux"}}})
    assert image["properties"]["osDiskImage"]["operatingSystem"] == "Linux"


def test_what_a_set_sends_back() -> None:
    """The members, and no others, of the PUT that was recorded of a Set at 2024-03-01, but for DNS servers given there."""
    known = {"provisioningState": "Succeeded", "addressPrefix": "10.0.1.0/24", "ipConfigurations": [{"id": "i"}]}
    subnet = {"name": "s", "id": "i", "etag": "e", "type": "t", "properties": {**known, "defaultOutboundAccess": False}}
    outer = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [subnet], "resourceGuid": "r"}
    network = {"name": "v", "id": "i", "etag": "e", "type": "t", "location": "l", "ResourceGroupName": "g"}
    body = write("VirtualNetwork", {**network, "properties": {**outer, "enableDdosProtection": False}}, "2024-03-01")
    assert set(body) == {"id", "location", "properties"}
    assert set(body["properties"]) == {
        *("addressSpace", "subnets", "virtualNetworkPeerings", "enableDdosProtection", "ipAllocations")
    }
    assert body["properties"]["addressSpace"] == {"addressPrefixes": ["10.0.0.0/16"]}
    (sent,) = body["properties"]["subnets"]
    assert set(sent) == {"name", "id", "properties"}
    lists = ("addressPrefixes", "serviceEndpoints", "serviceEndpointPolicies", "ipAllocations", "delegations")
    lists = (*lists, "applicationGatewayIPConfigurations")
    assert sent["properties"] == {
        "addressPrefix": "10.0.1.0/24", "defaultOutboundAccess": False, **{name: [] for name in lists}
    }  # fmt: skip


Spoil = Callable[[Any], Any]


class Spoiled(httpx.AsyncBaseTransport):
    """A cloud whose answers of one status, to a method and a path, are changed."""

    def __init__(self, inner: httpx.AsyncBaseTransport, where: str, status: int, change: Spoil) -> None:
        self._inner = inner
        self._method, self._path = where.split(" ")
        self._status = status
        self._change = change
        self.done = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        body = await answer.aread()
        here = request.method == self._method and re.search(self._path, request.url.path)
        if not here or answer.status_code != self._status:
            return httpx.Response(answer.status_code, headers=answer.headers, content=body)
        self.done = True
        headers = [(name, value) for name, value in answer.headers.multi_items() if name.lower() != "content-length"]
        status, document = self._change(json.loads(body) if body else None)
        return httpx.Response(
            status, headers=headers, content=b"" if document is None else json.dumps(document).encode()
        )


def without(*path: str) -> Spoil:
    def change(document: Any) -> tuple[int, Any]:
        at = document
        for name in path[:-1]:
            at = at[name]
        del at[path[-1]]
        return 200, document

    return change


def turned(value: Any, *path: str) -> Spoil:
    def change(document: Any) -> tuple[int, Any]:
        at = document
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = value
        return 200, document

    return change


FAULTS: dict[str, tuple[str, int, Spoil, type[AssertionError]]] = {
    "a network without a list of subnets": (
        *("GET /virtualNetworks/vnet-1$", 200, without("properties", "subnets"), SerializationException),
    ),
    "a network that is there": ("GET /virtualNetworks/vnet-1$", 404, lambda _: (200, {}), Deviation),
    "another status than 404 for what is absent": (
        *("GET /publicIPAddresses/public-ip-bastion", 404, lambda error: (400, error), CloudException),
    ),
    "a Bastion host without a sku": ("GET /bastionHosts/bastion", 200, without("sku"), SerializationException),
    "a first half that is Connected": (
        *("GET /vnet-1-to-vnet-2", 200, turned("Connected", "properties", "peeringState"), Deviation),
    ),
    "no version of the image": ("GET /server-gen1/versions$", 200, lambda _: (200, []), Deviation),
    "a version of other words": (
        *("GET /server-gen1/versions$", 200, lambda _: (200, [{"name": "latest"}]), SerializationException),
    ),
    "an image of Windows": (
        "GET /server-gen1/versions/24",
        200,
        turned("Windows", "properties", "osDiskImage", "operatingSystem"),
        Deviation,
    ),
    "a provider without types": (
        "GET /providers/Microsoft.Compute$",
        200,
        without("resourceTypes"),
        SerializationException,
    ),
    "a group that answers HEAD with 200": ("HEAD /resourcegroups/test-rg", 404, lambda _: (200, None), CloudException),
    "a machine whose operation fails": (
        *("GET /Microsoft.Compute/locations/eastus2/operations", 200, turned("Failed", "status"), CloudException),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_cloud_that_answers_otherwise_does_not_pass(tmp_path: Path, fault: str) -> None:
    where, status, change, expected = FAULTS[fault]
    async with cloud(tmp_path) as made:
        spoiled = Spoiled(httpx.ASGITransport(app=made.process.asgi), where, status, change)
        token = made.arm.headers["Authorization"].removeprefix("Bearer ")
        async with (
            httpx.AsyncClient(transport=spoiled, base_url=made.process.config.endpoint, timeout=60) as http,
            shell(http, made.arm.subscription, token, "2024", PASSWORD, soon) as powershell,
        ):
            with pytest.raises(expected):
                await play(powershell)
        assert spoiled.done


async def test_what_is_there_already_is_not_made_again(tmp_path: Path) -> None:
    async with cloud(tmp_path) as made:
        token = made.arm.headers["Authorization"].removeprefix("Bearer ")
        async with shell(made.arm.http, made.arm.subscription, token, "2024", PASSWORD, soon) as powershell:
            first = tab()["calls"][0]
            await powershell.call(first)
            with pytest.raises(Deviation, match="would ask"):
                await powershell.call(first)
            assert [exchange.status for exchange in powershell.log] == [404, 201, 204]
