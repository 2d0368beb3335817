"""How clients learn that it is done: headers, operation documents, results."""

import asyncio

import pytest

from azlan.arm import polling
from unit.arm.toys import SUB, cloud

BOX = {"location": "eastus2", "properties": {"size": 1}}
FAILURE = {"code": "Broken", "message": "It broke.", "details": []}


def below(url: str) -> str:
    assert url.startswith("https://localhost:8443/")
    return url.removeprefix("https://localhost:8443")


async def test_put_names_the_operation_and_no_location() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/boxes/b?api-version=2022-01-01", BOX)
        (operation,) = c.core.operations.pending()
        assert below(answer.headers["azure-asyncoperation"]) == (
            f"/subscriptions/{SUB}/providers/Toy.Net/locations/eastus2/operations/{operation.id}?api-version=2022-01-01"
        )
        assert "location" not in answer.headers
        url = below(answer.headers["azure-asyncoperation"])
        polled = await c.call("GET", url)
        assert polled.json() == {"status": "InProgress"}
        assert float(polled.headers["retry-after"]) > 0
        await c.settle()
        polled = await c.call("GET", url)
        assert polled.json() == {"status": "Succeeded"}
        assert "retry-after" not in polled.headers
        results = await c.call("GET", url.replace("/operations/", "/operationResults/"))
        assert results.json() == await c.ok("GET", "Toy.Net/boxes/b?api-version=2022-01-01")


async def test_delete_has_both_headers_and_ends_in_204() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle()
        answer = await c.call("DELETE", "Toy.Net/boxes/b")
        assert (answer.status_code, answer.content) == (202, b"")
        url = below(answer.headers["location"])
        assert url == below(answer.headers["azure-asyncoperation"]).replace("/operations/", "/operationResults/")
        waiting = await c.call("GET", url)
        assert (waiting.status_code, below(waiting.headers["location"])) == (202, url)
        await c.settle()
        ended = await c.call("GET", url)
        assert (ended.status_code, below(ended.headers["location"])) == (204, url)
        assert ended.headers["content-type"] == "application/json; charset=utf-8"


async def test_a_failed_operation_is_answered_with_200_and_its_error() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle(FAILURE)
        polled = await c.call("GET", below(answer.headers["azure-asyncoperation"]))
        assert (polled.status_code, polled.json()) == (200, {"status": "Failed", "error": FAILURE})


async def test_the_compute_style_tells_times_and_name() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Run/machines/m", {"location": "eastus2"})
        assert answer.json()["properties"]["provisioningState"] == "Creating"
        assert "etag" not in answer.json()
        assert "etag" not in answer.headers
        (operation,) = c.core.operations.pending()
        assert operation.waits == ("network", "machines")
        url = below(answer.headers["azure-asyncoperation"])
        assert (await c.ok("GET", url)) == {
            "startTime": operation.started,
            "status": "InProgress",
            "name": operation.id,
        }
        await c.settle()
        polled = await c.ok("GET", url)
        assert list(polled) == ["startTime", "endTime", "status", "name"]


async def test_a_type_may_answer_put_as_succeeded_although_it_goes_on() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/plugs/p", {"location": "eastus2", "properties": {}})
        assert answer.json()["properties"]["provisioningState"] == "Succeeded"
        assert "azure-asyncoperation" in answer.headers
        assert len(c.core.operations.pending()) == 1


async def test_a_put_that_says_succeeded_waits_a_little_so_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "HOLD", 30)
    async with cloud() as c:
        await c.group()
        put = asyncio.create_task(c.call("PUT", "Toy.Net/plugs/p", {"location": "eastus2", "properties": {}}))
        while not c.core.operations.pending():
            await asyncio.sleep(0.001)
        await c.settle()
        answered = (await put).json()
        assert answered["properties"]["provisioningState"] == "Succeeded"
        assert await c.ok("GET", "Toy.Net/plugs/p") == answered


async def test_an_action_that_an_operation_completes() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Run/machines/m", {"location": "eastus2"})
        await c.settle()
        answer = await c.call("POST", "Toy.Run/machines/m/start")
        assert (answer.status_code, answer.content) == (202, b"")
        (operation,) = c.core.operations.pending()
        assert (operation.kind, operation.name) == ("POST", "PostMachineOperation")
        assert (await c.call("GET", below(answer.headers["location"]))).status_code == 202
        await c.settle()
        assert (await c.ok("GET", below(answer.headers["azure-asyncoperation"])))["status"] == "Succeeded"
        assert await c.ok("GET", below(answer.headers["location"])) == {"starts": 1}


async def test_an_action_that_answers_later() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Run/machines/m", {"location": "eastus2"})
        answer = await c.call("POST", "Toy.Run/machines/m/run", {"script": "x"})
        assert answer.status_code == 202
        url = below(answer.headers["azure-asyncoperation"])
        assert url.startswith(f"/subscriptions/{SUB}/providers/Toy.Run/locations/eastus2/operations/")
        while (told := await c.ok("GET", url))["status"] == "InProgress":
            assert list(told) == ["startTime", "status", "name"]
        assert list(told) == ["startTime", "endTime", "status", "properties", "name"]
        assert (told["status"], told["properties"]) == ("Succeeded", {"output": {"value": {"script": "x"}}})
        url = below(answer.headers["location"])
        assert url == below(answer.headers["azure-asyncoperation"]).replace("?", "?monitor=true&")
        polled = await c.call("GET", url)
        assert (polled.status_code, polled.json()) == (200, {"value": {"script": "x"}})
        answer = await c.call("POST", "Toy.Run/machines/m/run", {"fail": True})
        while (polled := await c.call("GET", below(answer.headers["location"]))).status_code == 202:
            await asyncio.sleep(0)
        assert (polled.status_code, polled.json()["error"]["code"]) == (409, "RunFailed")
        told = await c.ok("GET", below(answer.headers["azure-asyncoperation"]))
        assert (told["status"], told["error"]["code"]) == ("Failed", "RunFailed")


async def test_unknown_operations() -> None:
    async with cloud() as c:
        base = f"/subscriptions/{SUB}/providers/Toy.Net/locations/x"
        for page in ("operations/1", "operationResults/1"):
            assert (await c.error("GET", f"{base}/{page}"))[0] == 404
        assert (await c.error("GET", f"{base}/nothing/1"))[0] == 404


@pytest.mark.parametrize(
    ("agent", "first", "later"),
    [
        ("AZURECLI/2.91.0 azsdk-python-core/1.35 Python/3.11", "0.05", "0.05"),
        ("AZURECLI/2.91.0 azsdk-python-mgmt-resource/24.0.0 Python/3.11", "1", "0.05"),
        ("azsdk-python-mgmt-network/33.1.0 Python/3.11", "1", "0.05"),
        ("azsdk-go-armnetwork/v6.0.0 (go1.22; linux)", "1", "1"),
        ("azsdk-js-arm-network/33.0.0", "1", "1"),
    ],
)
async def test_who_is_told_fractions_of_a_second(
    agent: str, first: str, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "HOLD", 0.001)
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/boxes/b", BOX, User_Agent=agent)
        assert answer.headers["retry-after"] == first
        poll = await c.call("GET", below(answer.headers["azure-asyncoperation"]), User_Agent=agent)
        assert poll.headers["retry-after"] == later


async def test_a_poll_waits_a_little_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "HOLD", 5)
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/boxes/b", BOX)
        polling_now = asyncio.ensure_future(c.ok("GET", below(answer.headers["azure-asyncoperation"])))
        await asyncio.sleep(0.01)
        assert not polling_now.done()
        await c.settle()
        assert await polling_now == {"status": "Succeeded"}
