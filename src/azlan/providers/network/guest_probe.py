"""Run inside a guest by `watcher_probes`, on its own Python: sends probes and prints what came of them as JSON.

Imports nothing of Azlan. Its one argument is the request, base64 of JSON.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

PROBES = 10
FAILURES = 3
"""After so many in a row there is no point in more."""
SECONDS = 2.0


def connect(host: str, request: dict[str, Any]) -> None:
    source = ("", request["source_port"]) if request["source_port"] else None
    with socket.create_connection((host, request["port"]), SECONDS, source):
        pass


def fetch(host: str, request: dict[str, Any]) -> None:
    """GET; raises OSError for an answer that is not among the statuses wanted."""
    url = urlsplit(request["url"] or f"http://{host}/")
    kind: Any = http.client.HTTPConnection
    more: dict[str, Any] = {}
    if request["protocol"] == "Https":
        # Whether somebody answers is asked, not who it is.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        kind, more = http.client.HTTPSConnection, {"context": context}
    connection = kind(url.hostname or host, request["port"], timeout=SECONDS, **more)
    try:
        connection.request("GET", url.path or "/", headers=request["headers"])
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from error
    finally:
        connection.close()
    if status not in (request["statuses"] or range(200, 400)):
        raise OSError(f"HTTP status {status}")


def echo(host: str) -> float:
    """One echo request; milliseconds as ping measured them. Raises OSError."""
    done = subprocess.run(["ping", "-n", "-c", "1", "-W", "2", host], capture_output=True, text=True, check=False)
    found = re.search(r"time=([\d.]+) ms", done.stdout)
    if done.returncode or found is None:
        raise OSError("no echo reply")
    return float(found[1])


def main() -> None:
    request = json.loads(base64.b64decode(sys.argv[1]))
    result: dict[str, Any] = {"address": None, "sent": 0, "failed": 0, "milliseconds": [], "reason": ""}
    try:
        host = socket.getaddrinfo(request["host"], None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        print(json.dumps({**result, "reason": str(error)}))
        return
    result["address"] = host
    in_a_row = 0
    while result["sent"] < PROBES and in_a_row < FAILURES:
        result["sent"] += 1
        began = time.monotonic()
        try:
            if request["protocol"] == "Icmp":
                result["milliseconds"].append(echo(str(host)))
            else:
                (connect if request["protocol"] == "Tcp" else fetch)(str(host), request)
                result["milliseconds"].append((time.monotonic() - began) * 1000)
            in_a_row = 0
        except OSError as error:
            result["failed"] += 1
            in_a_row += 1
            result["reason"] = str(error)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
