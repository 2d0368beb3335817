"""Another site in the same browser: a page of its own origin on loopback, and all that it tries against the portal."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standing import Standing


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>evil</title><p>evil</p>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def foreign_site(cloud: Standing, scheme: str, host: str) -> Iterator[str]:
    """A page's address. `https` on localhost has the cloud's own certificate: the same site, but for its TCP port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        control = cloud.config.control
        context.load_cert_chain(control / "server.pem", control / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"{scheme}://{host}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        serving.join(10)


ATTACK = """async ({home, subscription, ticket}) => {
    const arm = home + "/portal/arm" + subscription;
    const group = arm + "/resourceGroups/stolen?api-version=2024-11-01";
    const body = JSON.stringify({location: "eastus2"});
    const json = {"Content-Type": "application/json", "X-Azlan-Portal": "1"};
    const tries = [
        [arm + "/resources?api-version=2024-11-01", {}],
        [arm + "/resources?api-version=2024-11-01", {headers: {"X-Azlan-Portal": "1"}}],
        [arm + "/resources?api-version=2024-11-01", {mode: "no-cors"}],
        [home + "/portal/session", {mode: "no-cors"}],
        [home + "/portal/bastion/tickets", {method: "POST", mode: "no-cors", body: "{}"}],
        [home + "/portal/signout", {method: "POST", mode: "no-cors"}],
        [group, {method: "PUT", headers: json, body}],
        [group, {method: "POST", mode: "no-cors", body}],
        [home + "/", {}],
    ];
    const read = [];
    for (const [url, init] of tries) {
        try {
            const answer = await fetch(url, {...init, credentials: "include"});
            if (answer.type !== "opaque") read.push([url, answer.status]);
        } catch {}
    }
    const socket = await new Promise((done) => {
        const made = new WebSocket(home.replace("https", "wss") + "/portal/bastion/sessions/" + ticket);
        made.onopen = () => done("open");
        made.onclose = () => done("closed");
    });
    const frame = document.createElement("iframe");
    frame.src = home + "/";
    const loaded = new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
    document.body.append(frame);
    await loaded;
    let framed = false;
    try { framed = frame.contentDocument !== null && frame.contentDocument.body.innerText.includes("Azure services"); } catch {}
    const forms = [["/portal/signout", {}], ["/portal/arm" + subscription + "/resourceGroups/stolen", {location: "x"}]];
    for (const [path, fields] of forms) {
        const form = document.createElement("form");
        form.method = "post"; form.action = home + path; form.target = "sink"; form.enctype = "text/plain";
        for (const [name, value] of Object.entries(fields)) {
            const input = document.createElement("input");
            input.name = name; input.value = value; form.append(input);
        }
        const sink = document.createElement("iframe");
        sink.name = "sink";
        const sent = new Promise((done) => { sink.onload = done; setTimeout(done, 3000); });
        document.body.append(sink, form);
        form.submit();
        await sent;
        sink.remove();
    }
    const other = open(home + "/", "_blank");
    await new Promise((done) => setTimeout(done, 1500));
    let opened = false;
    try { opened = other !== null && other.document.body.innerText.length > 0; } catch {}
    other?.close();
    return {read, socket, framed, opened};
}"""
"""Requests with the browser's cookies, a websocket with a ticket that is good, frames, forms, a window: what came of them."""
