"""What the API is compared with: the least a durable store behind HTTPS can be. Starlette, SQLite with synchronous=FULL,
one table of JSON documents, no authentication, no operations, no types; statements run right on the event loop.

    python -m bench.bare FOLDER PORT CERTIFICATE KEY SIZE…
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.clouds import vnet

JSON = "application/json; charset=utf-8"


def opened(path: Path, size: int) -> sqlite3.Connection:
    """A store that holds `size` VNets."""
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=FULL")
    store.execute("CREATE TABLE resources (name TEXT PRIMARY KEY, grp TEXT, body TEXT)")
    store.execute("CREATE INDEX by_group ON resources (grp)")
    rows = ((f"vnet-{number}", f"group-{number // 10}", json.dumps(vnet(number))) for number in range(size))
    store.execute("BEGIN")
    store.executemany("INSERT INTO resources VALUES (?, ?, ?)", rows)
    store.execute("COMMIT")
    return store


def application(stores: dict[str, sqlite3.Connection]) -> Starlette:
    async def one(request: Request) -> Response:
        store, name = stores[request.path_params["size"]], request.path_params["name"]
        if request.method == "PUT":
            document = json.loads(await request.body())
            body = json.dumps(document)
            store.execute("UPDATE resources SET body = ? WHERE name = ?", (body, name))
            return Response(body, media_type=JSON)
        (body,) = store.execute("SELECT body FROM resources WHERE name = ?", (name,)).fetchone()
        return Response(body, media_type=JSON)

    async def many(request: Request) -> Response:
        store, group = stores[request.path_params["size"]], request.query_params.get("group")
        if group is not None:
            rows = store.execute("SELECT body FROM resources WHERE grp = ?", (group,))
        else:
            rows = store.execute("SELECT body FROM resources ORDER BY rowid LIMIT 1000")
        return Response(json.dumps({"value": [json.loads(body) for (body,) in rows]}), media_type=JSON)

    return Starlette(routes=[Route("/{size}/{name}", one, methods=["GET", "PUT"]), Route("/{size}", many)])


def main(folder: str, port: str, certificate: str, key: str, *sizes: str) -> None:
    stores = {size: opened(Path(folder) / f"{size}.db", int(size)) for size in sizes}
    uvicorn.run(
        application(stores),
        host="127.0.0.1",
        port=int(port),
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
