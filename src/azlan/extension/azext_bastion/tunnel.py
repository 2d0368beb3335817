"""A local TCP port whose connections end at a machine behind a Bastion host: a token by HTTPS, then a websocket each.

    POST   https://{dnsName}/api/tokens            form → authToken, nodeId, websocketToken
    GET    wss://{dnsName}/webtunnelv2/{websocketToken}?X-Node-Id={nodeId}
    DELETE https://{dnsName}/api/tokens/{authToken}

Runs inside az: imports nothing of Azlan.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from typing import Any

import requests
import websocket
from azure.cli.core._profile import Profile
from azure.cli.core.azclierror import ClientRequestError
from azure.cli.core.util import should_disable_connection_verify
from knack.log import get_logger

logger = get_logger(__name__)

_CHUNK = 32768


class TunnelServer:
    """Listens on 127.0.0.1. `port` 0 takes a free one. `error` is what the cloud refused last."""

    def __init__(self, cli_ctx: Any, endpoint: str, target: str, target_port: int, port: int, address: str | None):
        self._profile = Profile(cli_ctx=cli_ctx)
        self._endpoint = endpoint
        self._target = target
        self._target_port = target_port
        self._address = address
        self._token: str | None = None
        self._node: str | None = None
        self._asking = threading.Lock()
        self._closed = False
        self.error = ""
        self._listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise ClientRequestError("Defined port is currently unavailable") from error
        self._listening.listen(100)
        self.port: int = self._listening.getsockname()[1]

    def start(self) -> None:
        """Accept connections from now on, in the background."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more, and tell the cloud that the session is over: it ends what still runs."""
        self._closed = True
        self._listening.close()
        with self._asking:
            token, self._token = self._token, None
        if token is not None:
            url = f"https://{self._endpoint}/api/tokens/{token}"
            answer = requests.delete(url, headers=self._headers(), verify=_verify(), timeout=60)
            if answer.status_code not in (200, 204, 404):
                raise ClientRequestError(_message(answer))

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            stream = self._connect()
        except Exception as error:  # one connection that fails ends no other
            self.error = str(error)
            if not self._closed:
                logger.error("%s", error)
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._down, args=(stream, client), daemon=True).start()
        try:
            while data := client.recv(_CHUNK):
                stream.send_binary(data)
        except (OSError, websocket.WebSocketException) as error:
            logger.info(error)
        finally:
            _close(stream, client)

    def _down(self, stream: Any, client: socket.socket) -> None:
        try:
            while True:
                kind, data = stream.recv_data()
                if kind == websocket.ABNF.OPCODE_CLOSE:
                    self._note(data)
                    return
                client.sendall(data)
        except (OSError, websocket.WebSocketException) as error:
            logger.info(error)
        finally:
            _close(stream, client)

    def _note(self, data: bytes) -> None:
        """Why the other side closed the websocket, where it says so."""
        why = data[2:].decode(errors="replace")
        if why and not self._closed:
            self.error = why
            logger.error("%s", why)

    def _connect(self) -> Any:
        ticket = self._ticket()
        options: dict[str, Any] = {"cert_reqs": ssl.CERT_NONE}
        if not should_disable_connection_verify():
            options = {"cert_reqs": ssl.CERT_REQUIRED}
            bundle = os.environ.get("REQUESTS_CA_BUNDLE")
            if bundle:
                options["ca_certs"] = bundle
        url = f"wss://{self._endpoint}/webtunnelv2/{ticket}?X-Node-Id={self._node}"
        return websocket.create_connection(
            url, sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),), sslopt=options, enable_multithread=True
        )

    def _ticket(self) -> str:
        """A token for one websocket. The session it belongs to stays the same."""
        with self._asking:
            credentials, _, _ = self._profile.get_raw_token()
            form = {
                "resourceId": self._target,
                "protocol": "tcptunnel",
                "workloadHostPort": self._target_port,
                "aztoken": credentials[1],
                "token": self._token,
            }
            if self._address:
                form["hostname"] = self._address
            url = f"https://{self._endpoint}/api/tokens"
            answer = requests.post(url, data=form, headers=self._headers(), verify=_verify(), timeout=60)
            if answer.status_code != 200:
                raise ClientRequestError(_message(answer))
            document = answer.json()
            self._token, self._node = document["authToken"], document["nodeId"]
            ticket: str = document["websocketToken"]
            return ticket

    def _headers(self) -> dict[str, str]:
        return {"X-Node-Id": self._node} if self._node else {}


def _verify() -> bool:
    return not should_disable_connection_verify()


def _message(answer: Any) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        message = answer.json().get("message")
        if message:
            return str(message)
    return f"The Bastion host answered {answer.status_code}."


def _close(stream: Any, client: socket.socket) -> None:
    with contextlib.suppress(OSError, websocket.WebSocketException):
        stream.close(timeout=1)
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
    client.close()
