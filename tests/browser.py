"""A browser for az's plain `az login`: fetches the address it is given, fills in the sign-in page, and goes home.

Run by az as `BROWSER='python browser.py %s &'`. User name, password and the cloud's authority come by the environment; what
else is typed into the page follows as NAME=VALUE.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from html import unescape
from urllib.parse import urljoin

import httpx

NAME, PASSWORD, AUTHORITY = "BROWSER_NAME", "BROWSER_PASSWORD", "BROWSER_AUTHORITY"


def fields(page: httpx.Response) -> tuple[str, dict[str, str]]:
    """Where a page's form goes, and its hidden fields."""
    form = re.search(r'<form method="post"(?: action="([^"]*)")?>', page.text)
    assert form is not None, page.text
    hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    there = urljoin(str(page.url.copy_with(query=None)), unescape(form[1] or ""))
    return there, {unescape(name): unescape(value) for name, value in hidden}


def sign_in(address: str, **typed: str) -> httpx.Response:
    """Fill in the page at an address with name and password, and go wherever that leads; what is shown in the end."""
    context = ssl.create_default_context(cafile=os.environ[AUTHORITY])
    with httpx.Client(verify=context, trust_env=False, timeout=60) as http:
        there, hidden = fields(http.get(address))
        given = {"username": os.environ[NAME], "password": os.environ[PASSWORD], **typed}
        answer = http.post(there, data={**hidden, **given})
        if answer.status_code == 303:
            return http.get(answer.headers["location"])
        if "document.forms[0].submit()" in answer.text:
            home, carried = fields(answer)
            return http.post(home, data=carried)
        return answer


if __name__ == "__main__":
    sign_in(sys.argv[1], **dict(word.split("=", 1) for word in sys.argv[2:])).raise_for_status()
