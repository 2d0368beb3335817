"""All wiring on one page: which objects make the control process, which the fabric process, and how they begin and end.

control process   identity ─▶ arm (registry, store, core) ─▶ loops ─▶ engine, machines   (local, or over the socket)
fabric process    socket ─▶ bpf engine, containers
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from azlan import __version__, config
from azlan.arm.core import Core, Subscription, Tenant
from azlan.arm.registry import ASSIGNMENT_TYPE, DEFINITION_TYPE, Registry
from azlan.arm.resource import SYSTEM, Json, Principal, Runtime
from azlan.arm.rest import PREFIXES, arm_app
from azlan.arm.roles import BUILT_IN
from azlan.arm.schema import StoreError
from azlan.arm.store import Meta, Store, Transaction
from azlan.arm.writes import Request
from azlan.base import linux
from azlan.base.errors import ArmError
from azlan.base.garbage import making_what_stays, serve_for_long
from azlan.base.ids import parse_id
from azlan.base.sealing import KEY_SIZE, Safe
from azlan.compiler.compile import Compiler
from azlan.config import Config
from azlan.contract.engine import Engine
from azlan.contract.machine import Machines
from azlan.contract.platform import Platform
from azlan.contract.world import World
from azlan.control.loop import Loops
from azlan.engines.model import ModelEngine, probe
from azlan.fabric.client import FabricClient, RemoteEngine, RemoteMachines
from azlan.machines.places import bastion_socket
from azlan.machines.simulated import SimulatedMachines
from azlan.services import certificates
from azlan.services.administration import Administration, admin_token
from azlan.services.bastion import CONNECT, BastionSessions
from azlan.services.cloud import CloudMetadata
from azlan.services.directory import Directory
from azlan.services.extensions import ExtensionMirror
from azlan.services.identity import Identity
from azlan.services.portal import Portal
from azlan.services.signin import SignIn
from azlan.services.tokens import Tokens
from azlan.services.tunnels import BastionTunnels
from azlan.services.vault import secret_file
from azlan.services.wire import BoundedHead

if TYPE_CHECKING:
    from azlan.engines.bpf.engine import BpfEngine
    from azlan.machines.containers import ContainerMachines
    from azlan.services.dns import AzureDns
    from azlan.services.metadata import InstanceMetadata

log = structlog.get_logger(__name__)

BASTION = "Microsoft.Network/bastionHosts"
_DEFINITIONS = "/providers/Microsoft.Authorization/roleDefinitions"
_TALKATIVE = {
    "asyncssh": logging.WARNING,
    "uvicorn": logging.INFO,
    "websockets": logging.INFO,
}
"""Libraries that write down, at debug level, what goes through them: frames with what is typed."""


@dataclass(frozen=True)
class StoredVault:
    """The identity service's vault in the store's own table: as durable and as private as the store."""

    meta: Meta

    async def get(self, name: str) -> str | None:
        return await self.meta.get(name)

    async def put(self, name: str, value: str) -> None:
        await self.meta.put(name, value)


class AssignedRoles:
    """Rights of the users that `azlan user add` makes: ordinary role assignments."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def assign(self, principal: Principal, role: str, scope: str) -> None:
        definition = self._definition(role)
        id = parse_id(f"{scope.rstrip('/')}/providers/{ASSIGNMENT_TYPE}/{uuid4()}")
        properties = {
            "roleDefinitionId": f"/subscriptions/{id.subscription}{_DEFINITIONS}/{definition}",
            "principalId": principal.object_id,
            "principalType": principal.kind,
        }
        await self._core.put(Request(SYSTEM, "2022-04-01"), id, {"properties": properties})

    def _definition(self, role: str) -> str:
        """Guid of a role by its name or its guid, built-in or custom."""
        for built_in in BUILT_IN.values():
            if role.lower() in (built_in.name.lower(), built_in.id):
                return built_in.id
        for row in self._core.store.snapshot.list(DEFINITION_TYPE):
            if role.lower() in (str(row.properties.get("roleName", "")).lower(), row.id.name.lower()):
                return row.id.name
        names = ", ".join(sorted(built_in.name for built_in in BUILT_IN.values()))
        raise ArmError(400, "RoleDefinitionDoesNotExist", f"There is no role '{role}'. Built in are: {names}.")

    async def withdraw(self, object_id: str) -> None:
        for row in list(self._core.store.snapshot.list(ASSIGNMENT_TYPE)):
            if row.properties.get("principalId") == object_id:
                await self._core.delete(Request(SYSTEM, row.api_version), row.id)


@dataclass
class ControlProcess:
    """A cloud's control process, not yet listening. `asgi` is its whole HTTP surface."""

    config: Config
    core: Core
    loops: Loops
    identity: Identity
    asgi: Starlette
    client: FabricClient | None
    for_guests: tuple[AzureDns | InstanceMetadata, ...]
    """What machines ask of the platform; empty where no packets move."""
    started: float

    async def start(self) -> None:
        if self.client is not None:
            self.client.on_connect.append(self.loops.reconcile)
            self.client.on_connect += [service.reopen for service in self.for_guests]
            await self.client.start()
        await self.loops.start()
        self.core.start()
        for service in self.for_guests:
            await service.start()

    async def stop(self) -> None:
        """Let go: machines, packets and operations under way go on or are taken up by the next process."""
        await self.core.close()
        for service in self.for_guests:
            await service.stop()
        await self.loops.stop()
        await self.loops.machines.close()
        if self.client is not None:
            await self.client.close()
        await self.core.store.close()

    async def status(self) -> Json:
        """What `azlan status` shows of this process."""
        snapshot = self.core.store.snapshot
        return {
            "version": __version__,
            "pid": os.getpid(),
            "endpoint": self.config.endpoint,
            "tenant": self.config.tenant,
            "subscription": self.config.subscription,
            "engine": self.loops.engine.name,
            "machines": self.loops.machines.name,
            "started": self.started,
            # Of the facts: what the applied revisions come to. The store's own also counts the ends of operations.
            "revision": self.loops.desired,
            "applied": {"network": self.loops.network.revision, "machines": self.loops.machines_report.revision},
            "failedParts": {**self.loops.network.failed, **self.loops.machines_report.failed},
            "pendingOperations": len(self.core.operations.pending()),
            "resources": len(snapshot.rows),
            "parts": len(self.loops.world.parts),
            "runningMachines": sum(status.power == "running" for status in self.loops.statuses.values()),
            "fabric": "in this process" if self.client is None else "connected" if self.client.connected else "away",
        }


async def build_control(
    config: Config, engine: Engine | None = None, machines: Machines | None = None, store_path: Path | None = None
) -> ControlProcess:
    """Wire a control process. Engine and machines are given by tests; else they follow from the configuration."""
    registry = Registry.discover()
    client: FabricClient | None = None
    if engine is None or machines is None:
        if config.privileged:
            client = FabricClient(config.socket)
            engine, machines = RemoteEngine(client, config.engine), RemoteMachines(client, config.machines)
        else:
            engine, machines = ModelEngine(), SimulatedMachines()
    store = await Store.open(store_path or config.store, registry)
    safe = Safe(secret_file((store_path or config.store).with_name("sealing.key"), KEY_SIZE))
    vault = StoredVault(store.meta("identity"))
    tokens = await Tokens.open(vault, config.endpoint, config.tenant)
    identity = Identity(tokens, await Directory.open(vault, config.tenant))
    runtime = Runtime(engine, machines, config.endpoint, lambda: loops.world)
    core = Core(registry, store, Tenant(config.tenant), [Subscription(config.subscription)], runtime, safe)
    loops = Loops(store, core.operations, Compiler(), engine, machines)
    store.in_force = loops.in_force
    for_guests = _for_guests(engine, loops, store)
    process = ControlProcess(config, core, loops, identity, Starlette(), client, for_guests, time.time())
    process.asgi = await _surface(process, tokens, vault)
    return process


def _for_guests(engine: Engine, loops: Loops, store: Store) -> tuple[AzureDns | InstanceMetadata, ...]:
    """Azure's names and the instance metadata service, where packets move to ask for them."""
    if not isinstance(engine, Platform):
        return ()
    # Imported here alone: on the model engine nobody asks, and the library for names is a tenth of all imports.
    from azlan.services.dns import AzureDns
    from azlan.services.metadata import InstanceMetadata

    def world() -> World:
        return loops.world

    return AzureDns(engine, world), InstanceMetadata(engine, world, lambda: store.snapshot)


async def _surface(process: ControlProcess, tokens: Tokens, vault: StoredVault) -> Starlette:
    """Every route of the origin; what nobody else answers is ARM's."""
    config, core, identity = process.config, process.core, process.identity
    administration = Administration(
        identity.directory,
        AssignedRoles(core),
        process.status,
        token=admin_token(config.admin_token),
        subscription=config.subscription,
    )

    def document(principal: Principal, id: str) -> Json:
        try:
            parsed = parse_id(id)
        except ValueError:
            raise ArmError(400, "InvalidResourceId", f"'{id}' is no resource id.") from None
        declared = core.type_of(parsed)
        return core.get(Request(principal, declared.api_versions[0]), parsed)

    def hosts() -> dict[str, str]:
        """Last part of a Bastion host's `dnsName` → its id."""
        return {f"bst-{row.state['dnsGuid']}": str(row.id) for row in core.store.snapshot.list(BASTION)}

    def socket_of(machine: str) -> Path:
        return bastion_socket(config.run, config.mark, machine)

    async def audit(caller: Principal, about: tuple[str, ...], status: str, words: str) -> None:
        def note(change: Transaction) -> None:
            correlation = str(uuid4())
            for id in about:
                change.log(str(parse_id(id)), CONNECT, status, caller.name, correlation, words)

        await core.store.transact(note)

    bastion = BastionSessions(tokens.authenticate, document, socket_of, config.endpoint, audit)
    tunnels = BastionTunnels(tokens.authenticate, document, hosts, bastion.address, socket_of, config.endpoint)
    arm = arm_app(core, tokens.authenticate)
    portal = await Portal.open(
        vault,
        core.registry,
        endpoint=config.endpoint,
        tenant=config.tenant,
        arm=arm,
        identity=Starlette(routes=identity.routes()),
        bastion=Starlette(routes=bastion.routes()),
    )
    routes = [
        *CloudMetadata(config.endpoint).routes(),
        *ExtensionMirror(config.endpoint).routes(),
        *administration.routes(),
        *bastion.routes(),
        *tunnels.routes(),
        *portal.routes(),
        *SignIn(identity).routes(),
        *identity.routes(),
        Mount("/", arm),
    ]
    return Origin(arm, routes)


class Origin(Starlette):
    """The routes of the origin, with a way around them for ARM: to look at each of them first would be a sixth of a PUT."""

    def __init__(self, arm: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes=routes)
        self._arm = arm

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].lower().startswith(PREFIXES):
            await self._arm(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def serve_control(config: Config) -> None:
    """Run the control process until SIGTERM or SIGINT."""
    _prepare_log()
    _keep_private(config)
    serve_for_long()
    with making_what_stays():
        process = await build_control(config)
    pems = certificates.ensure(config.control, config.authority, config.mark)
    server = uvicorn.Server(
        uvicorn.Config(
            process.asgi,
            http=BoundedHead,
            ssl_certfile=str(pems.chain),
            ssl_keyfile=str(pems.key),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody stands before it: what a client says of its own address is not believed
            timeout_graceful_shutdown=2,
            ws_max_size=1 << 20,
        )
    )
    listening = _loopback(config.port)
    await process.start()
    log.info("control process serves", endpoint=config.endpoint, engine=config.engine, machines=config.machines)
    try:
        await server.serve(sockets=listening)
    finally:
        await process.stop()


def _keep_private(config: Config) -> None:
    """No core dump of this process's memory, which holds keys; of a cloud that root started, nor a look into it by another
    process of the same user. (Where that user is the supervisor's, too, that one must be able to look.)"""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if config.privileged and os.getuid() != 0:
        linux.prctl(linux.PR_SET_DUMPABLE, 0)


def _loopback(port: int) -> list[socket.socket]:
    """Listening sockets on 127.0.0.1 and, where the computer has it, ::1."""
    opened = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it. asyncio sets it on none whose protocol number was left open, and without it an
        # answer in two segments waits 40 ms for the client's acknowledgement.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            made.bind((address, port))
        except OSError:
            made.close()
            if family == socket.AF_INET:
                raise
            continue
        opened.append(made)
    return opened


async def serve_fabric(config: Config) -> None:
    """Run the fabric process until SIGTERM or SIGINT. What it has made goes on without it."""
    from azlan.fabric.peers import holder_of
    from azlan.fabric.server import FabricServer

    _prepare_log()
    engine, machines = _fabric(config)
    admits = holder_of(config.run / "control.lock", config.uid)  # as the supervisor hands it down
    server = FabricServer(config.socket, engine, machines, config.uid, admits)
    await server.start()
    log.info("fabric process serves", socket=str(config.socket))
    drops = asyncio.create_task(engine.log_drops(), name="log of drops")
    try:
        await _until_told()
    finally:
        drops.cancel()
        await asyncio.gather(drops, return_exceptions=True)
        await server.stop()
        await machines.close()
        await engine.close()


def _fabric(config: Config) -> tuple[BpfEngine, ContainerMachines | SimulatedMachines]:
    """What the fabric process makes things with. Touches nothing yet."""
    # Imported here alone: the control process needs neither the kernel's tools nor crun's, and starts sooner without.
    from azlan.engines.bpf.engine import BpfEngine
    from azlan.machines.containers import ContainerMachines
    from azlan.machines.images import ImageStore

    engine = BpfEngine(
        config.run / "bpf", config.mark, probe=probe, cache_dir=config.fabric / "programs", egress=config.egress
    )
    if config.machines == "simulated":
        return engine, SimulatedMachines(ports=engine, folder=config.run / "namespaces")
    images = ImageStore()
    return engine, ContainerMachines(config.run, config.fabric, images, engine, config.mark, client_uid=config.uid)


async def halt(config: Config) -> None:
    """End all machines and remove the network from this computer; disks and the store stay. For `azlan down`."""
    await _remove(config, disks=False)


async def destroy(config: Config) -> None:
    """Remove everything on this computer that bears the cloud's mark; its store stays. For `azlan reset`."""
    await _remove(config, disks=True)


async def _remove(config: Config, *, disks: bool) -> None:
    engine, machines = _fabric(config)
    if isinstance(machines, SimulatedMachines):
        await machines.destroy()
    else:
        await (machines.destroy() if disks else machines.halt())
    await machines.close()
    await engine.destroy()


async def _until_told() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()


def _prepare_log() -> None:
    """One JSON object a line on standard error; the supervisor gives it a file. AZLAN_LOG=debug says more of it."""
    level = logging.DEBUG if os.environ.get("AZLAN_LOG", "").lower() == "debug" else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format="%(message)s")
    for name, least in _TALKATIVE.items():
        logging.getLogger(name).setLevel(least)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log.debug("logs say more than usual")


ROLES: dict[str, Callable[[Config], Coroutine[Any, Any, None]]] = {
    "control": serve_control,
    "fabric": serve_fabric,
    "halt": halt,
    "destroy": destroy,
}


def main(arguments: list[str]) -> None:
    """`python -m azlan.app control|fabric|halt|destroy CONFIG`: what the supervisor and the command run."""
    role, file = arguments
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_of(role)) as runner:
        try:
            runner.run(ROLES[role](config.load(Path(file))))
        except StoreError as error:
            sys.exit(f"azlan: {error}")


def _loop_of(role: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where HTTPS is served: TLS and sockets cost half of what they do on asyncio's own loop."""
    if role != "control":
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    main(sys.argv[1:])
