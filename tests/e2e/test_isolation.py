"""What a guest's root gets at: its own, and nothing of the computer's, of the fabric's or of another machine's.

test (root) ── canaries: a process, an environment, files, sockets ──┐
vm-1, vm-2 in peered VNets ── intruder.py as root ── finds none ─────┘
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncssh
import httpx
import pytest

from azlan.commands.bastion_session import BastionSession
from azlan.commands.clouds import CloudClient
from azlan.commands.supervisor import SUPERVISOR, find, lock_of
from azlan.engines.bpf.kernel import Libbpf, Map
from azlan.machines.places import Place, name_of
from azlan.services.identity import AZURE_CLI
from azlan.services.portal import COOKIE, HEADER
from client import ArmClient, ArmFailure
from network import GROUPS, IMAGE, NICS, PUBLIC_IPS, VMS, VNETS
from probing import within
from standing import PASSWORD, Standing, in_guest, peered_pair, short_folder, standing

pytestmark = pytest.mark.root
BASTIONS = "Microsoft.Network/bastionHosts"
_TOKENS = ("access_token", "refresh_token", "id_token")
INTRUDER = Path(__file__).parents[1] / "intruder.py"
_THREADS = """#!/usr/bin/python3
import _thread
_thread.stack_size(65536)
lock = _thread.allocate_lock()
lock.acquire()
made = 0
try:
    while made < 100_000:
        _thread.start_new_thread(lock.acquire, ())
        made += 1
except RuntimeError:
    print(1000 < made <= 4096, flush=True)
import os
os._exit(0)
"""
_BOMB = "(bomb() { bomb | bomb & }; bomb) >/dev/null 2>&1; sleep 3; echo lives"
_HOG = "python3 -c 'x = bytearray(b\"x\") * (8 << 30)'; echo $?"
_FULL = """
df --output=size,itotal / | tail -1
fallocate -l 40G /root/large 2>&1 | grep -c 'No space'
touch /root/after 2>&1 && rm /root/large && fallocate -l 64M /root/small && rm /root/small && echo goes on
"""


@dataclass
class Pair:
    cloud: Standing
    arm: ArmClient

    def place(self, machine: str) -> Place:
        config = self.cloud.config
        key = f"machine:{self.arm.id('Microsoft.Compute/virtualMachines/' + machine).lower()}"
        return Place(config.run, config.fabric, name_of(config.mark, key))

    async def run(self, machine: str, script: str) -> str:
        return await in_guest(self.arm, machine, script)


@contextmanager
def canaries(word: str, state: Path) -> Iterator[None]:
    """What the computer has of its own, all named by a word: a process, its environment, files, sockets."""
    with ExitStack() as stack:
        argv = [sys.executable, "-c", "import sys; sys.stdin.read()", word]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, env={"WORD": word})
        stack.callback(process.wait)
        stack.callback(process.kill)
        for folder in (Path("/tmp"), Path("/run"), state, Path("/dev/shm")):
            (folder / word).touch()
            stack.callback((folder / word).unlink)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0{word}")
        abstract.listen()
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(f"/run/{word}.sock")
        stack.callback(Path(f"/run/{word}.sock").unlink)
        named.listen()
        yield


def addresses(port: int) -> list[tuple[str, int]]:
    """The computer's own, by which a guest might find the cloud that keeps it, and those of the platform."""
    shown = json.loads(subprocess.run(["ip", "-j", "-4", "addr"], capture_output=True, text=True, check=True).stdout)
    own = [entry["local"] for link in shown for entry in link["addr_info"]]
    return [*((address, port) for address in own), ("168.63.129.16", 22), ("10.0.0.1", port), ("169.254.169.254", port)]


async def test_a_guests_root_gets_at_its_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZLAN_LOG", "debug")
    with short_folder() as folder, standing(folder) as cloud:
        async with cloud.client() as arm:
            await peered_pair(arm)
            pair = Pair(cloud, arm)
            await finds_nothing(pair)
            await shares_no_write(pair)
            await keeps_secrets(pair)
            await leads_no_runtime_out(pair)
            await hurts_itself_alone(pair)
            await ends_flows_without_a_process(pair)


async def finds_nothing(pair: Pair) -> None:
    word = f"canary-{secrets.token_hex(8)}"
    program = INTRUDER.read_text().replace("@CANARY@", word)
    program = program.replace("@ADDRESSES@", json.dumps(addresses(pair.cloud.port)))
    with canaries(word, pair.cloud.state):
        for machine in ("vm-1", "vm-2"):
            said = await pair.run(
                machine, f"cat >/root/intruder <<'END'\n{program}\nEND\npython3 /root/intruder 2>&1; rm /root/intruder"
            )
            assert said.startswith("{"), said
            found = json.loads(said)
            assert found["got"] == {}, machine
            assert found["tried"] > 50
            assert await pair.run(machine, "hostname; id -u") == f"{machine}\n0"
    pinged = await pair.run("vm-1", "ping -n -c 1 10.1.0.4")
    assert "ttl=64" in pinged, "it still does what it is there for"


async def shares_no_write(pair: Pair) -> None:
    """The image beneath is the same: what one writes, over it too, is not there for the other nor in the image."""
    records = [pair.place(machine).load() for machine in ("vm-1", "vm-2")]
    one, other = (record for record in records if record is not None)
    assert (one.image, one.build) == (other.image, other.build)
    assert abs(one.first_id - other.first_id) >= 65536
    tree = Path("/var/cache/azlan/images") / one.image / one.build / "tree"
    before = (tree / "usr/bin/true").read_bytes()
    await pair.run(
        "vm-1", "echo mine >/usr/bin/true; rm /usr/bin/false; echo mine >/root/secret; mkdir /opt/mine; sync"
    )
    assert await pair.run("vm-1", "cat /usr/bin/true; ls /usr/bin/false 2>&1 | grep -c 'No such'") == "mine\n1"
    seen = await pair.run("vm-2", "head -c 4 /usr/bin/true | tail -c 3; ls /usr/bin/false /root /opt")
    assert "ELF" in seen
    assert "/usr/bin/false" in seen
    assert "secret" not in seen
    assert "mine" not in seen
    assert (tree / "usr/bin/true").read_bytes() == before
    assert (tree / "usr/bin/false").exists()


@dataclass
class Secrets:
    """What was told the cloud in confidence, or by it."""

    words: dict[str, str]
    typed: str
    """What a user typed in a Bastion session, and what the guest therefore knows."""


async def keeps_secrets(pair: Pair) -> None:
    """Passwords, keys, client secrets, tokens, sessions, and what is typed or run in guests: in no file, argument,
    environment, log (at debug level) or answer. Custom data is for the guest, as in Azure, and shown by no answer."""
    cloud, arm = pair.cloud, pair.arm
    said = f"said-{secrets.token_hex(8)}"
    custom = f"custom-{secrets.token_hex(8)}"
    told = await confide(pair, custom)
    admin = cloud.config.admin_token.read_text().strip()
    words = [*told.words.values(), PASSWORD, cloud.user("spy")["secret"], arm.headers["Authorization"].split()[1], said]
    assert min(map(len, words)) > 12, "none is there by chance"
    running = asyncio.create_task(pair.run("vm-1", f"echo {said}; sleep 2"))
    await asyncio.sleep(1)
    looked, found = processes(cloud, [*words, told.typed, custom, admin])
    assert await running == said
    assert looked > 20, "the cloud's own and those of its guests"
    logs = [(cloud.state / "logs" / f"{role}.log").read_text() for role in ("control", "fabric")]
    assert all('"level": "debug"' in log for log in logs)
    files = 0
    for top in (cloud.state, cloud.config.run):
        for path in top.rglob("*"):
            # What is mounted below holds no files: pins and namespaces.
            if not path.is_file() or path.is_symlink() or path.stat().st_dev != top.stat().st_dev:
                continue
            files += 1
            content = data_of(path)
            wanted = [*words, told.typed, *([admin] if path != cloud.config.admin_token else [])]
            if path.name == "disk.ext4":  # the guest's own: what it was told it may keep
                wanted = [word for word in wanted if word not in (said, told.typed)]
            elif "logs" in path.parts:
                wanted.append(custom)
            found += [f"{path}: {word}" for word in wanted if holds(content, word)]
    assert files > 10
    machines = "Microsoft.Compute/virtualMachines"
    for target in (f"{machines}/vm-1", f"{machines}/vm-9", machines, "Microsoft.Resources/deployments/network",
                   "Microsoft.Resources/deployments/network/operations", f"{arm.id('')}/resources"):  # fmt: skip
        answer = await arm.request("GET", target, query={"$expand": "instanceView"} if "/vm-" in target else None)
        assert answer.status_code == 200, answer.text
        found += [f"{target}: {word}" for word in [*words, custom, admin, "$6$"] if holds(answer.content, word)]
    assert found == []
    assert custom in await pair.run("vm-9", "cat /var/lib/cloud/instance/user-data.txt")
    modes = {path.name: path.stat().st_mode & 0o777 for path in cloud.config.control.iterdir()}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    assert cloud.config.control.stat().st_mode & 0o777 == 0o700
    assert {cloud.config.socket.stat().st_mode & 0o777} == {0o600}


def holds(content: bytes, word: str) -> bool:
    """Whether a word is there as it is, or encoded by itself for a header, a URL or a script."""
    encoded = base64.b64encode(word.encode()).rstrip(b"=")[:-1]
    return any(form in content for form in (word.encode(), encoded))


async def confide(pair: Pair, custom: str) -> Secrets:
    """A VM with a password and custom data of its own; a user with a password of their choice who signs in, refreshes,
    opens the portal; sessions by a Bastion host, one by password, one by a key with a passphrase."""
    cloud, arm = pair.cloud, pair.arm
    words = {name: f"{name}-{secrets.token_hex(8)}-A1" for name in ("machine", "user", "phrase")}
    typed = f"typed-{secrets.token_hex(8)}"
    key = asyncssh.generate_private_key("ssh-ed25519")
    private = key.export_private_key("openssh", words["phrase"]).decode()
    words["key"] = private.splitlines()[3]
    subnet = {"id": arm.id(f"{VNETS}/vnet-1/subnets/subnet-1")}
    config = {"name": "c", "properties": {"subnet": subnet}}
    await arm.put(f"{NICS}/nic-9", {"location": "eastus2", "properties": {"ipConfigurations": [config]}})
    public = {"path": "/home/azureuser/.ssh/authorized_keys", "keyData": key.export_public_key().decode()}
    machine = {
        "hardwareProfile": {"vmSize": "Standard_B1s"},
        "storageProfile": {"imageReference": IMAGE, "osDisk": {"createOption": "FromImage"}},
        "networkProfile": {"networkInterfaces": [{"id": arm.id(f"{NICS}/nic-9")}]},
        "osProfile": {
            "computerName": "vm-9", "adminUsername": "azureuser", "adminPassword": words["machine"],
            "customData": base64.b64encode(f"#cloud-config {custom}".encode()).decode(),
            "linuxConfiguration": {"disablePasswordAuthentication": False, "ssh": {"publicKeys": [public]}},
        },
    }  # fmt: skip
    await arm.put(f"{VMS}/vm-9", {"location": "eastus2", "properties": machine})
    words |= await signs_in(cloud, words["user"])
    await arm.put(f"{VNETS}/vnet-1/subnets/AzureBastionSubnet", {"properties": {"addressPrefix": "10.0.1.0/24"}})
    address = {"location": "eastus2", "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}
    await arm.put(f"{PUBLIC_IPS}/p", address)
    subnet = {"id": arm.id(f"{VNETS}/vnet-1/subnets/AzureBastionSubnet")}
    front = {"name": "c", "properties": {"subnet": subnet, "publicIPAddress": {"id": arm.id(f"{PUBLIC_IPS}/p")}}}
    await arm.put(f"{BASTIONS}/bastion", {"location": "eastus2", "properties": {"ipConfigurations": [front]}})
    owner = cloud.user("typist")
    words["typist"] = owner["secret"]
    request = {
        "bastion": arm.id(f"{BASTIONS}/bastion"), "target": arm.id(f"{VMS}/vm-9"), "username": "azureuser",
        "columns": 80, "rows": 24, "terminal": "dumb",
    }  # fmt: skip
    for credentials in ({"password": words["machine"]}, {"private_key": private, "passphrase": words["phrase"]}):
        login = (owner["applicationId"], owner["secret"])
        async with BastionSession(CloudClient(cloud.config), login, request | credentials) as session:
            await session.write(f"echo {typed}; exit 7\n".encode())
            shown = b""
            while chunk := await session.read():
                shown += chunk
            assert typed.encode() in shown
            assert session.exit is not None
            assert session.exit.status == 7
    return Secrets(words, typed)


async def signs_in(cloud: Standing, password: str) -> dict[str, str]:
    """Tokens and cookie of a user with a password of their choice."""
    body = {"name": "chooser", "kind": "User", "password": password, "role": "Reader"}
    CloudClient(cloud.config).admin("POST", "/users", body)
    form = {
        "client_id": AZURE_CLI, "grant_type": "password", "username": "chooser", "password": password,
        "scope": f"{cloud.config.endpoint}/.default offline_access",
    }  # fmt: skip
    transport = httpx.AsyncHTTPTransport(verify=cloud.context())
    async with httpx.AsyncClient(transport=transport, base_url=cloud.config.endpoint, timeout=60) as http:
        first = (await http.post("/organizations/oauth2/v2.0/token", data=form)).json()
        again = {**form, "grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        second = (await http.post("/organizations/oauth2/v2.0/token", data=again)).json()
        start = await http.get("/portal/signin")
        page = await http.get(start.headers["location"])
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        fields = {unescape(name): unescape(value) for name, value in hidden}
        typed = fields | {"username": "chooser", "password": password}
        home = await http.post(page.url.path, data=typed, headers={"Origin": cloud.config.endpoint})
        code = parse_qs(urlsplit(home.headers["location"]).query)["code"][0]
        await http.get(home.headers["location"])
        seen = await http.get("/portal/session", headers={HEADER: "1"})
        assert seen.status_code == 200, seen.text
        cookie = http.cookies[COOKIE]
    tokens = {f"{kind} {n}": given[kind] for n, given in enumerate((first, second)) for kind in _TOKENS}
    return {**tokens, "code": code, "cookie": cookie}


def processes(cloud: Standing, words: list[str]) -> tuple[int, list[str]]:
    """How many processes are the cloud's, and those words that are in their arguments or environment."""
    looked, found = 0, []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            group = (process / "cgroup").read_text()
            if cloud.config.mark in group or str(cloud.state).encode() in told[0]:
                looked += 1
                found += [f"{told[0]!r}: {word}" for word in words if holds(b"".join(told), word)]
    return looked, found


def data_of(path: Path) -> bytes:
    """What a file holds, its holes left out: disks are sparse."""
    content = bytearray()
    with path.open("rb") as file:
        size, at = file.seek(0, os.SEEK_END), 0
        while at < size:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            content += os.pread(file.fileno(), at - begin, begin)
    return bytes(content)


async def leads_no_runtime_out(pair: Pair) -> None:
    """CVE-2026-47766, CVE-2026-88264, CVE-2026-88265: a root whose /dev leads elsewhere when the runtime mounts it."""
    outside = Path(f"/tmp/azlan-outside-{secrets.token_hex(4)}")
    outside.mkdir(mode=0o777)
    try:
        outside.chmod(0o777)
        links = "; ".join(f"umount -R -l /{d}; rm -rf /{d}; ln -s {outside} /{d}" for d in ("run", "dev"))
        reboot = "import ctypes, time; time.sleep(1); ctypes.CDLL(None).reboot(0x1234567)"
        await pair.run("vm-1", f"setsid python3 -c '{reboot}' </dev/null >/dev/null 2>&1 &\n{links}")
        async with asyncio.timeout(60):
            while await _or_none(pair.run("vm-1", "test ! -L /dev && cat /proc/sys/kernel/hostname")) != "vm-1":
                await asyncio.sleep(0.2)
        assert (
            await pair.run("vm-1", "stat -c %F /dev /run /dev/null") == "directory\ndirectory\ncharacter special file"
        )
        assert list(outside.iterdir()) == []
    finally:
        shutil.rmtree(outside)


async def _or_none(asking: Awaitable[str]) -> str | None:
    try:
        return await asking
    except ArmFailure:
        return None


async def hurts_itself_alone(pair: Pair) -> None:
    """Tasks, memory, disk: bounded for one, while the other goes on answering; a restart ends even a fork bomb."""
    ended = asyncio.Event()

    async def neighbour() -> int:
        answers = 0
        while not ended.is_set():
            assert await pair.run("vm-2", "echo here") == "here"
            answers += 1
        return answers

    asking = asyncio.create_task(neighbour())
    try:
        assert await pair.run("vm-1", _THREADS) == "True", "no more than 4,096 tasks"
        assert await pair.run("vm-1", _HOG) == "137", "killed in its own cgroup"
        size, *rest = (await pair.run("vm-1", _FULL)).splitlines()
        await pair.run("vm-1", _BOMB)
        await pair.arm.post("Microsoft.Compute/virtualMachines/vm-1/restart")
        assert await pair.run("vm-1", "ls /root/after") == "/root/after"
    finally:
        ended.set()
    assert await asking > 0
    blocks, inodes = map(int, size.split())
    assert 29 << 20 < blocks <= 30 << 20, "about the 30 GiB that the API says, in KiB"
    assert 0 < inodes <= 2_000_000
    assert rest == ["1", "goes on"]
    assert pair.place("vm-1").disk.stat().st_blocks * 512 < 1 << 30, "sparse on the computer"
    assert "ttl=64" in await pair.run("vm-2", "ping -n -c 1 10.0.0.4")


async def ends_flows_without_a_process(pair: Pair) -> None:
    """Both processes and their supervisor are killed; what is half open or idle ends all the same, at the program's own
    limits, and what is not goes on. Time is not waited for: the flows are made older."""
    cloud, arm = pair.cloud, pair.arm
    rules = [
        {"name": "none", "properties": {
            "priority": 100, "direction": "Inbound", "access": "Deny", "protocol": "*", "sourceAddressPrefix": "*",
            "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "*",
        }},
    ]  # fmt: skip
    group = f"{GROUPS}/quiet"
    await arm.put(group, {"location": "eastus2", "properties": {"securityRules": rules}})
    machine = await arm.get(f"{VMS}/vm-1")
    path = machine["properties"]["networkProfile"]["networkInterfaces"][0]["id"]
    document = await arm.get(path)
    document["properties"]["networkSecurityGroup"] = {"id": arm.id(group)}
    await arm.put(path, document)
    for process in lock_of(cloud.config, SUPERVISOR).holders():
        process.stop(0, signal.SIGKILL)
    for role in ("control", "fabric"):
        process = find(cloud.config, role)
        assert process is not None
        process.stop(0, signal.SIGKILL)
    inside, beyond = (pair.place(name).network_namespace for name in ("vm-1", "vm-2"))
    one = within(inside, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    raw = within(inside, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
    other = within(beyond, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    answering = within(beyond, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
    with one, raw, other, answering:
        one.bind(("10.0.0.4", 7000))
        other.bind(("10.1.0.4", 7001))
        for made in (one, raw, other):
            made.settimeout(1)

        def answered() -> bool:
            other.sendto(b"back", ("10.0.0.4", 7000))
            with contextlib.suppress(TimeoutError):
                return one.recv(10) == b"back"
            return False

        def acknowledged(port: int) -> bool:
            """Whether the answer to a SYN from this TCP port, which nobody answered yet, gets in."""
            answering.sendto(struct.pack("!HHIIBBHHH", 81, port, 7, 2, 5 << 4, 0x12, 64, 0, 0), ("10.0.0.4", 0))
            with contextlib.suppress(TimeoutError):
                while True:
                    if raw.recv(100)[20:24] == struct.pack("!HH", 81, port):
                        return True
            return False

        assert not answered()
        one.sendto(b"there", ("10.1.0.4", 7001))
        assert other.recv(10) == b"there"
        assert answered()
        for port in (7002, 7003):  # with a checksum that is wrong: the other machine's kernel does not answer
            raw.sendto(struct.pack("!HHIIBBHHH", port, 81, 1, 0, 5 << 4, 2, 64, 0xBAD, 0), ("10.1.0.4", 0))
        make_older(cloud, 15)
        assert acknowledged(7002)
        assert answered()
        make_older(cloud, 25)
        assert not acknowledged(7003), "half open: 20 s"
        assert answered(), "idle: 240 s"
        make_older(cloud, 250)
        assert not answered()
    await asyncio.to_thread(cloud.azlan, "up", "-d")


def make_older(cloud: Standing, seconds: float) -> None:
    """Let all flows be older, as if so much time had passed."""
    flows = Map(Libbpf(), next(cloud.config.run.rglob("maps/flows")))
    first = struct.Struct("<Q")
    held = flows.dump()
    older = {
        key: first.pack(first.unpack_from(value)[0] - int(seconds * 1e9)) + value[8:] for key, value in held.items()
    }
    flows.update(older)
    flows.close()
