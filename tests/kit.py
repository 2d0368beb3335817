"""A whole cloud inside the test's process: the real wiring of the application page, without its sockets.

ArmClient ── ASGI ── control process ── loops ── model engine + simulated machines             (no privilege)
                                              └─ bpf engine + bare namespaces of its own mark  (root)
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import msgspec

from azlan.app import ControlProcess, build_control
from azlan.arm.resource import Principal
from azlan.config import new_config
from azlan.contract.engine import Engine
from azlan.contract.world import Machine, World
from azlan.engines.model import ModelEngine, probe
from azlan.machines.simulated import SimulatedMachines
from client import ArmClient
from probing import Packets, Prober, Verdicts

EngineKind = Literal["model", "bpf"]


@dataclass
class Cloud:
    """A running cloud. `arm` speaks as its owner."""

    process: ControlProcess
    arm: ArmClient
    engine: Engine
    prober: Prober
    namespace: Callable[[str], Path | None]

    def world(self) -> World:
        return self.process.loops.world

    async def token(self, name: str, role: str | None, scope: str | None = None) -> str:
        """The access token of a new user with a role, or with none."""
        entry, _ = await self.process.identity.directory.add(name, "User")
        principal = entry.principal(self.process.config.tenant)
        if role is not None:
            await self.roles.assign(principal, role, scope or f"/subscriptions/{self.process.config.subscription}")
        return self.token_of(principal)

    def token_of(self, principal: Principal) -> str:
        tokens = self.process.identity.tokens
        return tokens.access_token(principal, f"{self.process.config.endpoint}/", "test", "password")

    @property
    def roles(self):  # type: ignore[no-untyped-def]
        from azlan.app import AssignedRoles

        return AssignedRoles(self.process.core)

    def client(self, token: str) -> ArmClient:
        return ArmClient(self.arm.http, self.arm.subscription, token, self.arm.group)

    def describe(self) -> str:
        """The World as text, so that one reading of a failure explains it."""
        parts = sorted(self.world().parts.values(), key=lambda part: (type(part).__name__, part.id))
        shown = [msgspec.structs.replace(part, login=None) if isinstance(part, Machine) else part for part in parts]
        return "\n".join(msgspec.json.encode(part).decode() for part in shown)


@asynccontextmanager
async def cloud(
    folder: Path, kind: EngineKind = "model", store: Path | None = None, uplink: Path | None = None
) -> AsyncIterator[Cloud]:
    """A cloud whose state lives in `folder`; with `bpf` it makes and removes real namespaces (root).

    `uplink`: the namespace that plays the computer; without one there is no outside.
    """
    # The mark follows from the state folder; its name is made unlike any other cloud's on this computer.
    state = folder / f"state-{secrets.token_hex(4)}"
    state.mkdir(parents=True)
    config = new_config(state, uid=os.getuid(), gid=os.getgid(), engine=kind, machines="simulated", port=8443)
    engine: Engine
    if kind == "bpf":
        from azlan.engines.bpf.engine import BpfEngine

        config.run.mkdir(parents=True, exist_ok=True)
        bpf = BpfEngine(
            config.run / "bpf", config.mark, probe=probe, cache_dir=Path("/var/cache/azlan/programs"), uplink=uplink
        )
        machines = SimulatedMachines(ports=bpf, folder=config.run / "namespaces")
        engine = bpf
    else:
        engine, machines = ModelEngine(), SimulatedMachines()
    process = await build_control(config, engine, machines, store)
    await process.start()
    entry, _ = await process.identity.directory.add("owner", "ServicePrincipal")
    await process.core.bootstrap(config.subscription, entry.object_id)
    transport = httpx.ASGITransport(app=process.asgi, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url=config.endpoint, timeout=60) as http:
        made = Cloud(
            process,
            ArmClient(http, config.subscription, ""),
            engine,
            Packets(engine) if kind == "bpf" else Verdicts(engine, lambda: process.loops.world),
            machines.namespace if kind == "bpf" else lambda _machine: None,
        )
        made.arm = made.client(made.token_of(entry.principal(config.tenant)))
        try:
            yield made
        finally:
            await process.stop()
            if kind == "bpf":
                await machines.destroy()
                await engine.destroy()  # type: ignore[attr-defined]
                shutil.rmtree(config.run, ignore_errors=True)
