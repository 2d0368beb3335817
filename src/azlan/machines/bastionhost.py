"""Starts a Bastion host's process (`bastion.py`): confined, in its NIC's network namespace, by a user id of its own."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from azlan.base.confine import Confinement, needed_by_python
from azlan.machines import bastion_wire, launch
from azlan.machines.guest import Desired, Guest, Tools, launch_program
from azlan.machines.places import Place, Record

_MEMORY = 256 << 20
_PIDS = 64
_ID = 1000
"""The process's id within the host's own range."""


@dataclass(frozen=True)
class Interpreter:
    """How Python is run where nothing but these paths is to be seen."""

    argv: Sequence[str] = (sys.executable,)
    readable: Sequence[str] = field(default_factory=needed_by_python)
    python_path: str | None = None


class BastionHost(Guest):
    """A Bastion host on this computer. `client_uid`: who may connect to its socket."""

    def __init__(self, place: Place, tools: Tools, client_uid: int, interpreter: Interpreter) -> None:
        super().__init__(place, tools)
        self._client_uid = client_uid
        self._interpreter = interpreter

    async def launch(self, desired: Desired, record: Record) -> None:
        place = self.place
        files = await self.tools.thread(lambda: self.cgroups.prepare(place.name))
        self.cgroups.limit(place.name, _MEMORY, _PIDS)
        owner = record.first_id + _ID
        confinement = Confinement(
            uid=owner,
            gid=owner,
            readable=tuple(self._interpreter.readable),
            bare=True,
            network_namespace=str(place.network_namespace),
        )
        environment = {
            "LANG": "C.UTF-8",
            "PATH": "/usr/bin:/bin",
            "HOME": "/",
            "LOGNAME": "bastion",  # asyncssh looks up a local user's name, and there is no passwd entry
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if self._interpreter.python_path:
            environment["PYTHONPATH"] = self._interpreter.python_path
        with self._listen() as listening:
            descriptor = listening.fileno()
            argv = (*self._interpreter.argv, "-m", "azlan.machines.bastion", str(descriptor), str(self._client_uid))
            await launch_program(
                launch.Process(
                    cgroups=tuple(str(f) for f in files),
                    argv=argv,
                    confinement=asdict(confinement),
                    log=str(place.run / "bastion.log"),
                    environment=environment,
                ),
                fds=[descriptor],
            )
        boots = self.boots() + 1
        (place.state / "boots").write_text(str(boots))

    def _listen(self) -> socket.socket:
        """A socket that only its client may connect to, made here: the process may write nowhere."""
        path = self.place.socket
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o711)
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        os.chown(path, self._client_uid, -1)
        listening.listen(64)
        return listening

    async def answers(self, desired: Desired, timeout: float) -> bool:
        try:
            await bastion_wire.ping(self.place.socket, timeout)
        except OSError:
            return False
        return True
