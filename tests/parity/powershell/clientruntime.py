"""Microsoft's own client runtime in the place of its model, by hand: needs .NET, and libraries that are not fetched here.

    python -m parity.powershell.clientruntime LIBRARIES DOTNET compare [COUNT]    random operations, followed by both
    python -m parity.powershell.clientruntime LIBRARIES DOTNET tab                the tab, through Microsoft's runtime (root)

LIBRARIES: a folder with Microsoft.Rest.ClientRuntime.dll, Microsoft.Rest.ClientRuntime.Azure.dll, Newtonsoft.Json.dll and
Microsoft.Azure.Management.DataLake.Store.dll, a client generated as those of the Az modules are, which lends its HTTP pipeline.
The wheel azureml-dataprep 4.12.1 has all four. DOTNET: the root of a .NET Core 3.1, as in the wheel dotnetcore2 3.1.23. Python
needs pythonnet. Nothing of it is a test of `make test`.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from parity.powershell import player
from parity.powershell.runtime import CloudException, Exchange, ServiceClient

Answer = tuple[int, bytes, dict[str, str]]


class Pipeline:
    """The HTTP pipeline of a generated client at one address: its handlers, its retries, its polling."""

    def __init__(self, libraries: Path, dotnet: Path) -> None:
        import pythonnet
        from clr_loader import get_coreclr

        options = {"configProperties": {"System.Globalization.Invariant": True}, "tfm": "netcoreapp3.1"}
        versions = sorted((dotnet / "shared" / "Microsoft.NETCore.App").iterdir())
        framework = {"name": "Microsoft.NETCore.App", "version": versions[-1].name}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"runtimeOptions": {**options, "framework": framework}}, file)
            file.flush()
            pythonnet.set_runtime(get_coreclr(runtime_config=file.name, dotnet_root=str(dotnet)))
        import clr

        names = ("Rest.ClientRuntime", "Rest.ClientRuntime.Azure", "Azure.Management.DataLake.Store")
        for name in ("Newtonsoft.Json", *(f"Microsoft.{name}" for name in names)):
            clr.AddReference(str(libraries / f"{name}.dll"))
        clr.AddReference("System.Net.Http")
        from Microsoft.Azure.Management.DataLake.Store import DataLakeStoreAccountManagementClient
        from Microsoft.Rest import TokenCredentials
        from System import Array, Uri
        from System.Net.Http import DelegatingHandler
        from System.Threading import CancellationToken

        self._never = CancellationToken(False)
        self._of = lambda base, token: DataLakeStoreAccountManagementClient(
            Uri(base), TokenCredentials(token), "1", Array[DelegatingHandler]([])
        )

    def client(self, base: str, token: str) -> Any:
        return self._of(base, token)

    def send(self, client: Any, method: str, url: str, headers: dict[str, str], body: bytes | None) -> tuple[Any, Any]:
        """The request and the answer, as .NET has them."""
        from System.Net.Http import ByteArrayContent, HttpMethod, HttpRequestMessage

        request = HttpRequestMessage(HttpMethod(method), url)
        for name, value in headers.items():
            if name not in ("Content-Type", "User-Agent"):
                request.Headers.TryAddWithoutValidation(name, value)
        if body is not None:
            request.Content = ByteArrayContent(body)
            request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json; charset=utf-8")
        return request, client.HttpClient.SendAsync(request, self._never).GetAwaiter().GetResult()

    def finished(self, client: Any, request: Any, answer: Any) -> Any:
        """What the generated client's …WithHttpMessagesAsync hands on at the operation's end. Raises CloudException."""
        from Microsoft.Rest.Azure import AzureClientExtensions, AzureOperationResponse
        from Newtonsoft.Json.Linq import JObject

        put = str(request.Method) == "PUT"
        first = AzureOperationResponse[JObject]() if put else AzureOperationResponse()
        first.Request, first.Response = request, answer
        try:
            if not put:
                after = AzureClientExtensions.GetPostOrDeleteOperationResultAsync(client, first, None, self._never)
                after.GetAwaiter().GetResult()
                return None
            document = _json(text_of(answer).encode())
            first.Body = JObject.Parse(text_of(answer)) if isinstance(document, dict) else None
            after = AzureClientExtensions.GetPutOrPatchOperationResultAsync[JObject](client, first, None, self._never)
            body = after.GetAwaiter().GetResult().Body
        except Exception as error:  # .NET's, which has no common ancestor here
            raise CloudException(str(error)) from None
        return None if body is None else json.loads(body.ToString())


def text_of(answer: Any) -> str:
    return str(answer.Content.ReadAsStringAsync().GetAwaiter().GetResult())


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body.strip() else None
    except ValueError:
        return None


@contextmanager
def serving(answer: Any) -> Iterator[str]:
    """An address without TLS at which `answer(method, path, headers, body, base)` is asked."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def any(self) -> None:
            given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body, headers = answer(self.command, self.path, dict(self.headers), given, base)
            body = b"" if status == 204 or self.command == "HEAD" else body
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_DELETE = any

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # connections that are open at the end
    base = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield base
    finally:
        server.shutdown()


# Random operations


def drawn(seed: int) -> tuple[str, list[tuple[int, Any, dict[str, str]]]]:
    """A method, and what a cloud might answer to it and to the polls after it, sensible or not."""
    chance = random.Random(seed)
    method = chance.choice(["PUT", "DELETE"])
    return method, [_answer(chance, True), *(_answer(chance, False) for _ in range(chance.randint(1, 5)))]


def _answer(chance: random.Random, first: bool) -> tuple[int, Any, dict[str, str]]:
    # Retry-After of 0, that it goes fast, is always in the first answer and stays in force.
    headers = {"Retry-After": "0"} if first or chance.random() < 0.5 else {}
    if chance.random() < (0.6 if first else 0.3):
        headers["Azure-AsyncOperation"] = f"BASE/operation-{chance.randint(1, 2)}"
    if chance.random() < (0.4 if first else 0.3):
        headers["Location"] = f"BASE/result-{chance.randint(1, 2)}"
    word = chance.choice(["Succeeded", "Updating", "InProgress", "Failed", "Canceled", "succeeded", "Running"])
    state: dict[str, Any] = {"properties": {"provisioningState": word}}
    bodies = [{"name": "v", **state}, {"status": word}, {"status": word, "error": {"code": "c", "message": "m"}}]
    bodies += [{"name": "v", "properties": {}}, {"name": "v"}, {}, None, {"status": word, "properties": {}}]
    statuses = [200, 201, 202, 204] if first else [200, 200, 200, 200, 201, 202, 202, 204, 400, 404, 412]
    return chance.choice(statuses), chance.choice(bodies), headers


def compare(pipeline: Pipeline, count: int) -> int:
    """How many of the operations ended in another way, or were followed by other requests."""
    answers: list[tuple[int, Any, dict[str, str]]] = []
    asked: list[str] = []

    def answer(method: str, path: str, _headers: Any, _body: bytes, base: str) -> Answer:
        asked.append(f"{method} {path.partition('?')[0]}")
        status, body, headers = answers.pop(0) if answers else (410, {"error": {"code": "Over", "message": "-"}}, {})
        placed = {name: value.replace("BASE", base) for name, value in headers.items()}
        return status, b"" if body is None else json.dumps(body).encode(), placed

    async def modelled(base: str, method: str) -> Any:
        async def at_once(_: float) -> None:
            pass

        async with httpx.AsyncClient(base_url=base, verify=False) as http:
            client = ServiceClient(http, "-", "1", {}, {}, at_once)
            first = await client.send(method, "/resource", {}, {} if method == "PUT" else None, (200, 201, 202, 204))
            return await client.finished(first)

    differing, ends = 0, Counter[str]()
    with serving(answer) as base:
        client = pipeline.client(base, "-")
        for seed in range(count):
            method, script = drawn(seed)
            seen = []
            for one in ("theirs", "model"):
                answers[:], asked[:] = script, []
                try:
                    if one == "theirs":
                        sent = pipeline.send(client, method, f"{base}/resource", {}, b"{}" if method == "PUT" else None)
                        made = pipeline.finished(client, *sent)
                    else:
                        made = asyncio.run(modelled(base, method))
                    end = "ends"
                except CloudException:
                    made, end = None, "throws"
                seen.append((end, made, [*asked]))
            ends[f"{method} {seen[0][0]}"] += 1
            if seen[0] != seen[1]:
                differing += 1
                print(seed, script, *seen, sep="\n   ")
    print(f"{count} operations ({dict(sorted(ends.items()))}), {differing} differ")
    return differing


# The tab


def through(pipeline: Pipeline, endpoint: str, context: ssl.SSLContext) -> tuple[Any, Counter[str]]:
    """The handler that brings what .NET asks without TLS to a cloud, and how often each method was answered how."""
    http = httpx.Client(base_url=endpoint, verify=context, timeout=60)
    counts = Counter[str]()
    single = {"connection", "content-length", "transfer-encoding", "host"}

    def answer(method: str, path: str, headers: dict[str, str], body: bytes, base: str) -> Answer:
        given = {name: value for name, value in headers.items() if name.lower() not in single}
        found = http.request(method, path, headers=given, content=body)
        counts[f"{method} {found.status_code}"] += 1
        kept = {name: value for name, value in found.headers.items() if name.lower() not in single}
        return found.status_code, found.content, {name: value.replace(endpoint, base) for name, value in kept.items()}

    return answer, counts


def client_of(pipeline: Pipeline, base: str) -> type[ServiceClient]:
    """A ServiceClient that leaves its requests, and the following of operations, to .NET."""

    class Theirs(ServiceClient):
        async def _sent(
            self, method: str, url: str, headers: dict[str, str], body: Any, query: httpx.QueryParams | None
        ) -> Exchange:
            self.theirs = pipeline.client(base, self.token)
            given = {**headers, "Authorization": f"Bearer {self.token}"}
            content = None if body is None else json.dumps(body).encode()
            whole = f"{base}{url}?{query}" if query else f"{base}{url}"
            self.first = await asyncio.to_thread(pipeline.send, self.theirs, method, whole, given, content)
            answer = self.first[1]
            headers_found = httpx.Headers([(pair.Key, value) for pair in answer.Headers for value in pair.Value])
            found = Exchange(method, whole, int(answer.StatusCode), headers_found, text_of(answer).encode())
            self.log.append(found)
            return found

        async def finished(self, first: Exchange) -> Any:
            return await asyncio.to_thread(pipeline.finished, self.theirs, *self.first)

    return Theirs


async def tab(pipeline: Pipeline) -> None:
    from parity import test_powershell as tests

    with tests.short_folder() as folder, tests.standing(folder) as up:
        answer, counts = through(pipeline, up.config.endpoint, up.context())
        with serving(answer) as base:
            player.ServiceClient = client_of(pipeline, base)  # type: ignore[misc]
            async with tests.powershell_at(up) as powershell:
                await tests.play(powershell)
                for machine, target in tests.PINGS:
                    print(machine, target, await tests.pings(up, powershell, machine, target))
                await tests.clean_up(powershell)
            print(dict(sorted(counts.items())), {key: up.status()[key] for key in ("runningMachines", "parts")})


if __name__ == "__main__":
    opened = Pipeline(Path(sys.argv[1]), Path(sys.argv[2]))
    if sys.argv[3] == "tab":
        asyncio.run(tab(opened))
    else:
        sys.exit(compare(opened, int(sys.argv[4]) if len(sys.argv) > 4 else 1000) > 0)
