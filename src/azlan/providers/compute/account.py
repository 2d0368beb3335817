"""A VM's `osProfile`: the rules for names, passwords, keys and custom data, and what of it becomes the guest's login.

Follows Microsoft.Compute's OSProfile and its errors. A password leaves the document here, as a hash in the VM's state.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from azlan.arm.resource import Json, Write
from azlan.base.errors import ArmError
from azlan.contract.facts import Login
from azlan.template.secrets import hash_password, password_error, sealed_owner, unseal

RESERVED_NAMES = frozenset(
    (
        *("administrator", "admin", "user", "user1", "test", "user2", "test1", "user3", "admin1", "1", "123", "a"),
        *("actuser", "adm", "admin2", "aspnet", "backup", "console", "guest", "owner", "root", "server", "sql"),
        *("support", "support_388945a0", "sys", "test2", "test3", "user4", "user5"),
    )
)
_USER_NAME = re.compile(r"[^\\/\"\[\]:|<>+=;,?*@#()!A-Z$\s-][^\\/\"\[\]:|<>+=;,?*@#()!A-Z\s]{0,63}")
_HOST_NAME = re.compile(r"[^`~!@#$%^&*()=+_\[\]{}\\|;:'\",<>/?\s]{1,64}")
_KEY_KINDS = ("ssh-rsa", "ssh-ed25519")
_CUSTOM_DATA_LIMIT = 87380


def accept_account(write: Write) -> None:
    """Check `osProfile` and keep the login in `state["login"]`; on an update what a guest was made with cannot change."""
    profile = write.properties.get("osProfile")
    before = ((write.before or {}).get("properties") or {}).get("osProfile")
    if before is not None:
        _keep(write, profile, before)
        return
    if profile is None:
        raise _missing("osProfile")
    if profile.get("windowsConfiguration") is not None:
        raise _invalid("The property 'windowsConfiguration' is not valid for a Linux image.", "windowsConfiguration")
    profile.setdefault("computerName", write.id.name)
    if not _HOST_NAME.fullmatch(profile["computerName"]) or profile["computerName"].strip(".-") == "":
        raise _invalid(
            "Linux host name cannot exceed 64 characters in length or contain the following characters: "
            "` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : ' \" , < > / ?.",
            "computerName",
        )
    user = _user_name(profile)
    linux = profile.setdefault("linuxConfiguration", {})
    keys = _public_keys(linux, user)
    password = _password(write, profile, linux, keys)
    write.state["login"] = {
        "username": user,
        "password": password,
        "keys": keys,
        "customData": _custom_data(profile.pop("customData", None)),
    }


def login_of(state: Mapping[str, Any]) -> Login:
    """The login of a VM, from its state."""
    kept = state["login"]
    custom = kept.get("customData")
    return Login(
        kept["username"],
        kept.get("password"),
        tuple(kept.get("keys") or ()),
        base64.b64decode(custom) if custom else None,
    )


def _keep(write: Write, profile: Json | None, before: Json) -> None:
    if profile is None:
        write.properties["osProfile"] = before
        return
    profile.pop("adminPassword", None)
    profile.pop("customData", None)
    for name in ("computerName", "adminUsername"):
        if profile.get(name, before.get(name)) != before.get(name):
            raise change_not_allowed(f"osProfile.{name}")
    linux = profile.get("linuxConfiguration") or {}
    known = before.get("linuxConfiguration") or {}
    for name in ("ssh", "disablePasswordAuthentication"):
        if linux.get(name, known.get(name)) != known.get(name):
            raise change_not_allowed(f"linuxConfiguration.{name}")
    write.properties["osProfile"] = {**before, **profile, "linuxConfiguration": {**known, **linux}}


def _user_name(profile: Json) -> str:
    user = str(profile.get("adminUsername") or "")
    if not user:
        raise _missing("adminUsername")
    error = user_name_error(user)
    if error is not None:
        raise error
    return user


def user_name_error(user: str) -> ArmError | None:
    """What Azure answers to a user name that a Linux guest may not have."""
    if user.lower() in RESERVED_NAMES or not _USER_NAME.fullmatch(user) or user.endswith("."):
        return _invalid("The Admin Username specified is not allowed.", "adminUsername")
    return None


def _public_keys(linux: Json, user: str) -> list[str]:
    keys = []
    for key in (linux.get("ssh") or {}).get("publicKeys") or ():
        path = f"/home/{user}/.ssh/authorized_keys"
        if key.setdefault("path", path) != path:
            raise _invalid(
                f"Destination path for SSH public keys is currently limited to its default value {path}  due to a known issue "
                f"in Linux provisioning agent.",
                "linuxConfiguration.ssh.publicKeys.path",
            )
        text = str(key.get("keyData") or "").strip()
        if not _is_public_key(text):
            raise _invalid(
                "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.",
                "linuxConfiguration.ssh.publicKeys.keyData",
            )
        keys.append(text)
    return keys


def _is_public_key(text: str) -> bool:
    """`ssh-rsa AAAA… comment`, on one line, its base64 naming the same kind."""
    kind, _, rest = text.partition(" ")
    if kind not in _KEY_KINDS or "\n" in text or "\r" in text:
        return False
    try:
        data = base64.b64decode(rest.split(" ", 1)[0], validate=True)
    except binascii.Error:
        return False
    size = int.from_bytes(data[:4], "big")
    return data[4 : 4 + size] == kind.encode() and len(data) > 4 + size


def _password(write: Write, profile: Json, linux: Json, keys: list[str]) -> str | None:
    """The hash of the password, which leaves the document; None where password login is disabled."""
    password = profile.pop("adminPassword", None)
    if linux.setdefault("disablePasswordAuthentication", False):
        if not keys:
            raise _invalid(
                "Authentication using either SSH or by user name and password must be enabled in Linux profile.",
                "linuxConfiguration",
            )
        return None
    if password is None:
        raise _missing("adminPassword")
    owner = sealed_owner(password)
    if owner is not None:
        row = write.get(owner)
        return unseal(password, row.state.get("sealed") or {} if row else {})
    error = password_error(password)
    if error is not None:
        raise error
    return hash_password(password)


def _custom_data(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        base64.b64decode(text, validate=True)
        good = len(text) <= _CUSTOM_DATA_LIMIT
    except binascii.Error:
        good = False
    if not good:
        raise _invalid(
            f"Custom data in OSProfile must be in Base64 encoding and with a maximum length of {_CUSTOM_DATA_LIMIT} characters.",
            "customData",
        )
    return text


def _invalid(message: str, target: str) -> ArmError:
    return ArmError(400, "InvalidParameter", message, target=target)


def _missing(name: str) -> ArmError:
    return _invalid(f"Required parameter '{name}' is missing (null).", name)


def change_not_allowed(name: str) -> ArmError:
    """What Azure answers to a change of what a VM was created with."""
    return ArmError(409, "PropertyChangeNotAllowed", f"Changing property '{name}' is not allowed.", target=name)
