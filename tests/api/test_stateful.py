"""Any sequence of requests, good, mangled, conditional and at once: the cloud stays sound after every step.

Never a 5xx; a refusal changes nothing; a write changes what it addresses and nothing of anybody else's; every view of a
resource agrees with every other. The requests are drawn by `shapes`.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from api.estate import DEPLOYMENTS, LOCATION, VMS, problem
from api.shapes import GUIDS, IMPLICIT, SHAPES, VERSIONS, Json, mangled_writes, numbers, written
from api.soundness import at_rest, check_durable, check_sound
from api.surface import filled
from azlan.arm.registry import Registry
from counts import FULL, figures, times
from kit import Cloud, cloud


def _lasting(document: Any) -> Any:
    """A document without what every write changes."""
    if isinstance(document, list):
        return [_lasting(item) for item in document]
    if not isinstance(document, dict):
        return document
    passing = ("etag", "updatedOn", "updatedBy", "changedTime")
    return {name: _lasting(value) for name, value in document.items() if name not in passing}


class Requests(RuleBasedStateMachine):
    """`run` drives a cloud that lives as long as the test; every example has a group of its own."""

    cloud: Cloud
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    steps: list[int]
    statuses: dict[int, int]
    groups = 0

    @initialize()
    def begin(self) -> None:
        Requests.groups += 1
        self.arm = self.cloud.client(self.cloud.arm.headers["Authorization"].removeprefix("Bearer "))
        self.arm.group = f"fuzz-{Requests.groups}"
        self.run(self.arm.put("", {"location": LOCATION}))

    def teardown(self) -> None:
        async def remove() -> None:
            await check_durable(self.cloud)
            await self.arm.delete("")
            await at_rest(self.cloud)
            below = [
                row for row in self.cloud.process.core.store.snapshot.rows.values() if row.id.group == self.arm.group
            ]
            assert not below, below
            for guid in GUIDS:
                await self.arm.delete(f"{self.at('@sub')}/providers/Microsoft.Authorization/roleDefinitions/{guid}")

        if hasattr(self, "arm"):
            self.run(remove())

    def at(self, path: str) -> str:
        return path.replace("@sub", f"/subscriptions/{self.arm.subscription}")

    @rule(asked=written, api=st.sampled_from(VERSIONS))
    def put(self, asked: tuple[str, Json], api: str) -> None:
        self.run(self._write("PUT", asked[0], asked[1], api=api))

    @rule(asked=written)
    def put_again(self, asked: tuple[str, Json]) -> None:
        """What GET answers is a good body, and putting it back changes nothing that a client made."""

        async def again() -> None:
            shown = await self.arm.request("GET", self.at(asked[0]))
            if shown.status_code == 200 and DEPLOYMENTS not in asked[0] and VMS not in asked[0]:
                answer = await self._write("PUT", asked[0], shown.json())
                assert answer.status_code < 300, answer.text
                assert _lasting((await self.arm.request("GET", self.at(asked[0]))).json()) == _lasting(shown.json())

        self.run(again())

    @rule(asked=mangled_writes, method=st.sampled_from(("PUT", "PUT", "PATCH")), api=st.sampled_from(VERSIONS))
    def mangle(self, asked: tuple[str, Any], method: str, api: str) -> None:
        self.run(self._write(method, asked[0], asked[1], api=api))

    @rule(
        asked=written,
        patch=st.sampled_from(({"tags": {"x": "y"}}, {"properties": {}}, {"tags": None}, {"properties": None}, {})),
    )
    def patch(self, asked: tuple[str, Json], patch: Json) -> None:
        self.run(self._write("PATCH", asked[0], patch))

    @rule(asked=written)
    def delete(self, asked: tuple[str, Json]) -> None:
        if asked[0]:
            self.run(self._write("DELETE", asked[0], None))

    @rule(
        asked=written,
        etag=st.sampled_from(("now", "old", "*", "none of it", "other")),
        method=st.sampled_from(("PUT", "DELETE", "PATCH")),
    )
    def conditional(self, asked: tuple[str, Json], etag: str, method: str) -> None:
        """A condition that does not hold is a 412 that changes nothing, one that holds is no reason to refuse."""
        if not asked[0] or DEPLOYMENTS in asked[0]:
            return

        async def write() -> None:
            shown = await self.arm.request("GET", self.at(asked[0]))
            there = shown.status_code == 200
            current = self._etag(asked[0])
            headers = {
                "now": {"If-Match": current or 'W/"none"'},
                "old": {"If-Match": 'W/"00000000-0000-0000-0000-000000000000"'},
                "*": {"If-Match": "*"},
                "none of it": {"If-None-Match": "*"},
                "other": {"If-None-Match": 'W/"00000000-0000-0000-0000-000000000000"'},
            }[etag]
            holds = {"now": there, "old": False, "*": there, "none of it": not there, "other": True}[etag]
            body = None if method == "DELETE" else asked[1] if method == "PUT" else {"properties": {}}
            answer = await self._write(method, asked[0], body, headers=headers)
            if holds:
                assert answer.status_code != 412, answer.text
            elif answer.status_code not in (
                204,
                400,
                404,
            ):  # nothing to delete; surroundings that are missing come first
                assert answer.status_code == 412, (etag, answer.status_code, answer.text)

        self.run(write())

    @rule(
        name=st.sampled_from(
            ("start", "powerOff", "deallocate", "restart", "redeploy", "reapply", "generalize", "explode")
        ),
        n=numbers,
    )
    def act(self, name: str, n: int) -> None:
        self.run(self._write("POST", f"{VMS}/m{n % 2}/{name}", None))

    @rule(
        asked=written,
        damage=st.sampled_from(
            ("//", "%00", "%2F", "/..", " ", "x" * 300, "/providers/", "?", "é", "%ff", "/subnets", "/.")
        ),
        at=st.integers(0, 400),
        method=st.sampled_from(("GET", "PUT", "PATCH", "DELETE", "POST", "HEAD")),
    )
    def malformed_id(self, asked: tuple[str, Json], damage: str, at: int, method: str) -> None:
        path = self.arm.id(self.at(asked[0]))
        # The group stays whole: a path cut before its resource would delete all of it.
        kept = len(self.arm.id(""))
        place = kept + 1 + at % max(1, len(path) - kept)
        body = asked[1] if method in ("PUT", "PATCH", "POST") else None
        self.run(self._write(method, path[:place] + damage + path[place:], body, watch=method in ("GET", "HEAD")))

    @rule(
        asked=written,
        api=st.sampled_from(
            (
                None,
                "",
                "latest",
                "2024-13-01",
                "2024-05-01-beta2",
                "1",
                "2024-05-01,2023-01-01",
                "２０２４-05-01",
                "x" * 500,
            )
        ),
    )
    def malformed_version(self, asked: tuple[str, Json], api: str | None) -> None:
        async def write() -> None:
            answer = await self._write("PUT", asked[0], asked[1], api=api)
            assert answer.status_code == 400, answer.text

        self.run(write())

    @rule(
        asked=written,
        token=st.sampled_from(("", "Bearer", "Bearer x", "bearer a.b.c", "Basic YTpi", "Bearer " + "e30." * 3)),
    )
    def bad_token(self, asked: tuple[str, Json], token: str) -> None:
        async def write() -> None:
            answer = await self._write("PUT", asked[0], asked[1], headers={"Authorization": token})
            assert answer.status_code == 401, answer.text

        self.run(write())

    @rule(asked=written)
    def oversized(self, asked: tuple[str, Json]) -> None:
        async def write() -> None:
            answer = await self._write("PUT", asked[0], {**asked[1], "tags": {"x": "y" * (4 * 1024 * 1024)}})
            assert (answer.status_code, problem(answer)["code"]) == (413, "RequestContentTooLarge")

        self.run(write())

    @rule(
        asked=st.lists(st.one_of(written, mangled_writes), min_size=2, max_size=6),
        deletes=st.sets(st.integers(0, 5), max_size=2),
    )
    def at_once(self, asked: list[tuple[str, Any]], deletes: set[int]) -> None:
        """Several requests sent together: each is answered as if it stood alone in some order."""
        asked = [(path, body) for path, body in asked if path and DEPLOYMENTS not in path]

        async def burst() -> None:
            requests = [
                self._send("DELETE" if n in deletes else "PUT", path, None if n in deletes else body, "2024-05-01", {})
                for n, (path, body) in enumerate(asked)
            ]
            for answer in await asyncio.gather(*requests):
                self._answered(answer)
            await at_rest(self.cloud)
            await check_sound(self.cloud)

        self.run(burst())

    # -- what every step goes through -----------------------------------------------------------------------------

    def _etag(self, path: str) -> str | None:
        row = self.cloud.process.core.store.snapshot.get(self.arm.id(self.at(path)).lower())
        return row.etag if row is not None else None

    async def _send(
        self, method: str, path: str, body: Any, api: str | None, headers: dict[str, str]
    ) -> httpx.Response:
        raw = None if body is None else json.dumps(filled(self.arm, body)).encode("utf-8", "surrogatepass")
        query = "" if api is None else f"{'&' if '?' in path else '?'}api-version={api}"
        return await self.arm.http.request(
            method, self.arm.id(self.at(path)) + query, content=raw, headers={**self.arm.headers, **headers}
        )

    def _answered(self, answer: httpx.Response) -> None:
        code = answer.json()["error"]["code"] if answer.status_code >= 400 and answer.content else ""
        sent = f"{answer.request.url.raw_path.decode()[:200]} {answer.request.content[:300]!r}"
        note(f"{answer.request.method} {sent} → {answer.status_code} {code}")
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400 and answer.request.method != "HEAD" and answer.content:
            problem(answer)

    async def _write(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        api: str | None = "2024-05-01",
        headers: dict[str, str] | None = None,
        watch: bool = False,
    ) -> httpx.Response:
        """Send a request to a cloud at rest, wait until it is so again, and see what has changed."""
        self.steps[0] += 1
        store = self.cloud.process.core.store
        before, facts = store.snapshot, store.facts()
        answer = await self._send(method, path, body, api, headers or {})
        self._answered(answer)
        await at_rest(self.cloud)
        if answer.status_code >= 400 or watch:
            after = store.snapshot
            assert dict(after.rows) == dict(before.rows), "a refusal has changed something"
            assert after.operations == before.operations
            assert store.facts().by_owner == facts.by_owner
        else:
            self._nothing_lost(method, answer)
            self._others_as_they_were(dict(before.rows), path)
            await check_sound(self.cloud)
        return answer

    def _nothing_lost(self, method: str, answer: httpx.Response) -> None:
        """What was acknowledged is there."""
        if method not in ("PUT", "PATCH") or DEPLOYMENTS.lower() in str(answer.request.url).lower():
            return
        key = answer.json()["id"].lower()
        assert self.cloud.process.core.store.snapshot.get(key) is not None, f"{key} was acknowledged and is not there"

    def _others_as_they_were(self, before: dict[str, Any], path: str) -> None:
        """No document but the addressed one is another; only what comes with others is new; only what was below is gone."""
        if DEPLOYMENTS in path:
            return
        after = self.cloud.process.core.store.snapshot.rows
        addressed = self.arm.id(self.at(path)).partition("?")[0].lower()
        own = {key for key in before.keys() | after.keys() if addressed == key or addressed.startswith(key + "/")}
        for key in (before.keys() & after.keys()) - own:
            assert after[key].body == before[key].body, f"a write of {path} changed {key}"
        for key in (before.keys() - after.keys()) - own:
            assert key.startswith(addressed + "/"), f"a write of {path} removed {key}"
        for key in (after.keys() - before.keys()) - own:
            assert after[key].type.lower() in IMPLICIT, f"a write of {path} made {key}"


@asynccontextmanager
async def _cloud() -> AsyncIterator[Cloud]:
    with tempfile.TemporaryDirectory(prefix="azlan-fuzz-") as folder:
        async with cloud(Path(folder)) as made:
            yield made


def test_shapes_cover_every_type() -> None:
    assert set(SHAPES) == {declared.type for declared in Registry.discover().types.values()}


@pytest.mark.slow
def test_any_sequence_of_requests_leaves_a_sound_cloud() -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        class Machine(Requests):
            cloud = runner.run(stack.enter_async_context(_cloud()))
            run = staticmethod(runner.run)
            steps = [0]  # noqa: RUF012 - shared by all examples
            statuses: dict[int, int] = {}  # noqa: RUF012

        try:
            run_state_machine_as_test(  # type: ignore[no-untyped-call]
                Machine,
                settings=settings(
                    max_examples=times(12, 150),
                    stateful_step_count=times(25, 40),
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    # Shrinking takes minutes: the printed steps tell as much, and sooner.
                    phases=[phase for phase in Phase if FULL or phase is not Phase.shrink],
                    report_multiple_bugs=False,
                ),
            )
        finally:
            runner.run(stack.aclose())
            if FULL:
                figures.append(
                    f"stateful fuzz: {Machine.steps[0]} requests in {Requests.groups} sequences, answers {Machine.statuses}"
                )
