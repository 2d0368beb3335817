"""`POST /batch`: several reads in one request, as portals and azure.azcollection's inventory send them.

Azure documents it nowhere. Names and shapes are those that the plugin (inventory/azure_rm.py, 3.12.0) sends and reads; that Azure
answers such a batch at once, and what it says of a bad one, is unconfirmed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azlan.arm.documents import parse_json
from azlan.arm.paths import split
from azlan.arm.polling import NULL, Answer, Call
from azlan.arm.resource import Json
from azlan.base.errors import ArmError

MOST = 100
"""Requests in a batch; the plugin sends no more."""


def is_batch(call: Call) -> bool:
    """Whether `answer` is to answer."""
    return call.method == "POST" and [segment.lower() for segment in call.segments] == ["batch"]


async def answer(call: Call, respond: Callable[[Call], Awaitable[Answer]]) -> Answer:
    """Each request is answered by `respond` as if its caller had sent it alone, errors included."""
    if not call.api_version:
        words = "The api-version query parameter (?api-version=) is required for all requests."
        raise ArmError(400, "MissingApiVersionParameter", words)
    document = parse_json(call.body)
    asked = document.get("requests") if isinstance(document, dict) else None
    if not isinstance(asked, list) or not 0 < len(asked) <= MOST:
        raise ArmError(400, "InvalidRequestContent", f"A batch has 'requests', an array of 1 to {MOST} of them.")
    return Answer(200, {"responses": [await _one(call, request, respond) for request in asked]})


async def _one(call: Call, request: Any, respond: Callable[[Call], Awaitable[Answer]]) -> Json:
    name = request.get("name") if isinstance(request, dict) else None
    try:
        given = await respond(_alone(call, request))
    except ArmError as error:
        given = Answer(error.status, {"error": error.body}, dict(error.headers))
    content = None if given.body is NULL else given.body
    return {"name": name, "httpStatusCode": given.status, "headers": given.headers, "content": content}


def _alone(call: Call, request: Any) -> Call:
    """What its caller would have sent. Raises ArmError where it is no read."""
    url = request.get("url") if isinstance(request, dict) else None
    method = request.get("httpMethod") if isinstance(request, dict) else None
    if not isinstance(url, str) or not isinstance(method, str):
        raise ArmError(400, "InvalidRequestContent", "A request of a batch has 'httpMethod' and 'url'.")
    if method.upper() != "GET":
        raise ArmError(405, "MethodNotAllowed", f"The requested resource does not support http method '{method}'.")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ArmError(400, "InvalidRequestContent", "The url of a request of a batch is none.") from error
    query = {key.lower(): value for key, value in parse_qsl(parts.query, keep_blank_values=True)}
    return replace(call, method="GET", segments=split(parts.path), query=query, body=b"")
