"""A cloud's identity service and administration over real TLS on loopback, with routes that a test adds."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from azlan.arm.resource import Principal
from azlan.config import Config, new_config
from azlan.services import certificates
from azlan.services.administration import Administration, admin_token
from azlan.services.cloud import CloudMetadata
from azlan.services.directory import Directory
from azlan.services.identity import Identity
from azlan.services.tokens import Tokens
from azlan.services.vault import FileVault


class NoRoles:
    async def assign(self, principal: Principal, role: str, scope: str) -> None:
        pass

    async def withdraw(self, object_id: str) -> None:
        pass


@dataclass
class Served:
    """A cloud that answers. `stop` takes it away as kill -9 would; `start` brings it back."""

    config: Config
    routes: list[BaseRoute]
    server: uvicorn.Server | None = None
    thread: threading.Thread | None = None

    def start(self) -> None:
        config, ready = self.config, threading.Event()

        async def serve() -> None:
            vault = FileVault(config.control / "identity")
            tokens = await Tokens.open(vault, config.endpoint, config.tenant)
            directory = await Directory.open(vault, config.tenant)
            identity = Identity(tokens, directory)

            async def status() -> dict[str, Any]:
                return {"fabric": "in this process"}

            administration = Administration(
                directory, NoRoles(), status, token=admin_token(config.admin_token), subscription=config.subscription
            )
            routes = [*CloudMetadata(config.endpoint).routes(), *administration.routes(), *identity.routes()]
            pems = certificates.ensure(config.control, config.authority, config.mark)
            self.server = uvicorn.Server(
                uvicorn.Config(
                    Starlette(routes=[*routes, *self.routes]), host="127.0.0.1", port=config.port,
                    ssl_certfile=str(pems.chain), ssl_keyfile=str(pems.key), log_level="error", lifespan="off",
                )
            )  # fmt: skip
            serving = asyncio.ensure_future(self.server.serve())
            while not self.server.started and not serving.done():
                await asyncio.sleep(0.01)
            ready.set()
            await serving

        self.thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self.thread.start()
        assert ready.wait(20)

    def stop(self) -> None:
        if self.server is not None and self.thread is not None:
            self.server.force_exit = True
            self.server.should_exit = True
            self.thread.join(20)
            self.server = None


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options: dict[str, Any] = {"engine": "model", "machines": "simulated", "port": port}
    config = new_config(tmp_path / "state", uid=os.geteuid(), gid=os.getegid(), **options)
    config = replace(config, run=tmp_path / "run")
    for folder in (config.control, config.authority.parent, config.run):
        folder.mkdir(parents=True)
    config.save()
    cloud = Served(config, [])
    yield cloud
    cloud.stop()
