"""What makes one machine of an image: its account, names, keys and custom data, as files laid over the image.

Follows what cloud-init leaves on an Azure VM: the user in `sudo` without a password, `/etc/ssh/sshd_config.d`,
`/var/lib/cloud/instance/user-data.txt`. Custom data that starts with `#!` is run once, at the first boot.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from azlan.contract.platform import DNS_ADDRESS
from azlan.contract.world import GuestLogin, Nic, PartKey, Vnet

_NO_SUFFIX = "reddog.microsoft.com"
_CUSTOM_DATA = "var/lib/cloud/instance/user-data.txt"
_CUSTOM_DATA_DONE = "var/lib/cloud/instance/sem/config_scripts_user"
_CUSTOM_DATA_UNIT = f"""\
[Unit]
Description=Run the custom data of this virtual machine once
ConditionPathExists=!/{_CUSTOM_DATA_DONE}
After=network.target

[Service]
Type=oneshot
ExecStartPre=/bin/mkdir -p /{Path(_CUSTOM_DATA_DONE).parent}
ExecStartPre=/usr/bin/touch /{_CUSTOM_DATA_DONE}
# Not StandardOutput=append:, which came with systemd 240: Ubuntu 18.04 has 237.
ExecStart=/bin/sh -c 'exec /{_CUSTOM_DATA} >>/var/log/cloud-init-output.log 2>&1'
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
"""


class IdentityError(Exception):
    """An account that the image cannot take; the message says why."""


@dataclass(frozen=True)
class GuestFile:
    """A file to be, path relative to the guest's root. `data` None is a directory; `link` a symbolic link to that."""

    path: str
    data: bytes | None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    link: str | None = None


def guest_files(
    computer_name: str, login: GuestLogin | None, machine_id: str, read: Callable[[str], bytes]
) -> list[GuestFile]:
    """Every file of the machine's identity but its host keys. `read` gives the content of a file of the image, and
    raises FileNotFoundError. Raises IdentityError for a user name that is the system's own."""
    files = [
        GuestFile("etc/hostname", f"{computer_name}\n".encode()),
        GuestFile("etc/hosts", _hosts(computer_name)),
        GuestFile("etc/machine-id", f"{machine_id}\n".encode(), 0o444),
    ]
    if login is None:
        return files
    files += _account(login, read)
    files.append(_passwords("yes" if login.password_hash else "no", read))
    if login.custom_data is not None:
        files.append(GuestFile(_CUSTOM_DATA, login.custom_data, 0o700))
        if login.custom_data.startswith(b"#!"):
            unit = "azlan-custom-data.service"
            files.append(GuestFile(f"etc/systemd/system/{unit}", _CUSTOM_DATA_UNIT.encode()))
            wants = f"etc/systemd/system/multi-user.target.wants/{unit}"
            files.append(GuestFile(wants, None, link=f"/etc/systemd/system/{unit}"))
    return files


def _passwords(answer: str, read: Callable[[str], bytes]) -> GuestFile:
    """Whether sshd takes passwords, where cloud-init says it: OpenSSH before 8.2 includes no other files."""
    config = read("etc/ssh/sshd_config")
    line = f"PasswordAuthentication {answer}\n".encode()
    if b"\nInclude /etc/ssh/sshd_config.d/" in config:
        return GuestFile("etc/ssh/sshd_config.d/50-cloud-init.conf", line, 0o600)
    return GuestFile("etc/ssh/sshd_config", line + config)  # the first of several values counts


def resolv_conf(nics: Sequence[Nic], vnets: Mapping[PartKey, Vnet]) -> str:
    """What the guest asks for names, as Azure's DHCP says it: the primary NIC's servers, else the VNet's, else Azure's own,
    for whose names alone the search list is of use (with other servers Azure gives a suffix that leads nowhere)."""
    vnet = vnets.get(nics[0].vnet) if nics else None
    servers = nics[0].dns_servers if nics else ()
    servers = servers or (vnet.dns_servers if vnet else ()) or (DNS_ADDRESS,)
    suffix = vnet.dns_suffix if vnet and servers == (DNS_ADDRESS,) else ""
    lines = [f"search {suffix or _NO_SUFFIX}", *(f"nameserver {server}" for server in servers)]
    return "".join(f"{line}\n" for line in lines)


def _hosts(computer_name: str) -> bytes:
    return (
        f"127.0.0.1 localhost\n127.0.1.1 {computer_name}\n\n"
        "# The following lines are desirable for IPv6 capable hosts\n"
        "::1 ip6-localhost ip6-loopback\nfe00::0 ip6-localnet\nff00::0 ip6-mcastprefix\n"
        "ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\nff02::3 ip6-allhosts\n"
    ).encode()


def _account(login: GuestLogin, read: Callable[[str], bytes]) -> list[GuestFile]:
    user = login.username
    passwd, shadow, group = (read(f"etc/{name}").decode() for name in ("passwd", "shadow", "group"))
    if any(line.split(":")[0] == user for line in passwd.splitlines()):
        raise IdentityError(f"the user name {user!r} belongs to the system of the image: choose another one")
    uid = _free(passwd, 1000)
    groups = {line.split(":")[0]: line.split(":") for line in group.splitlines() if line}
    if user in groups:
        gid = int(groups[user][2])
    else:
        gid = _free(group, uid)
        groups[user] = [user, "x", str(gid), ""]
    for name in ("adm", "dialout", "cdrom", "floppy", "sudo", "audio", "dip", "video", "plugdev", "netdev"):
        if name in groups:
            members = [m for m in groups[name][3].split(",") if m]
            groups[name][3] = ",".join([*members, user])
    home = f"home/{user}"
    shadow_gid = int(groups["shadow"][2]) if "shadow" in groups else 0
    files = [
        GuestFile("etc/passwd", f"{passwd}{user}:x:{uid}:{gid}::/{home}:/bin/bash\n".encode()),
        GuestFile(
            "etc/shadow",
            f"{shadow}{user}:{login.password_hash or '!'}:19700:0:99999:7:::\n".encode(),
            0o640,
            gid=shadow_gid,
        ),
        GuestFile("etc/group", "".join(":".join(words) + "\n" for words in groups.values()).encode()),
        GuestFile("etc/sudoers.d/90-cloud-init-users", f"{user} ALL=(ALL) NOPASSWD:ALL\n".encode(), 0o440),
        GuestFile(home, None, 0o750, uid, gid),
        GuestFile(f"{home}/.ssh", None, 0o700, uid, gid),
    ]
    for name in (".bashrc", ".profile", ".bash_logout"):
        files.append(GuestFile(f"{home}/{name}", read(f"etc/skel/{name}"), 0o644, uid, gid))
    # Its name without this file: the hint about sudo that Ubuntu prints at the first log-in.
    files.append(GuestFile(f"{home}/.sudo_as_admin_successful", b"", 0o644, uid, gid))
    if login.ssh_keys:
        keys = "".join(key.strip() + "\n" for key in login.ssh_keys)
        files.append(GuestFile(f"{home}/.ssh/authorized_keys", keys.encode(), 0o600, uid, gid))
    return files


def _free(table: str, first: int) -> int:
    taken = {int(line.split(":")[2]) for line in table.splitlines() if line}
    return next(number for number in range(first, 65536) if number not in taken)


def host_keys(computer_name: str) -> list[GuestFile]:
    """New SSH host keys. No RSA one: it takes half a second to make, and every client of today knows the others."""
    keys: list[tuple[str, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey]] = [
        ("ed25519", ed25519.Ed25519PrivateKey.generate()),
        ("ecdsa", ec.generate_private_key(ec.SECP256R1())),
    ]
    files = []
    for kind, key in keys:
        path = f"etc/ssh/ssh_host_{kind}_key"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        files.append(GuestFile(path, private, 0o600))
        files.append(GuestFile(f"{path}.pub", public + f" root@{computer_name}\n".encode()))
    return files


def lay(upper: Path, tree: Path, files: Iterable[GuestFile], first_id: int) -> None:
    """Write files to the upper layer over the image's `tree`, owners shifted to start at `first_id`."""
    for file in files:
        at = upper / file.path
        _parents(upper, tree, Path(file.path).parent, first_id)
        if file.link is not None:
            at.symlink_to(file.link)
            os.lchown(at, first_id, first_id)
            continue
        if file.data is None:
            at.mkdir(exist_ok=True)
        else:
            at.write_bytes(file.data)
        os.chown(at, first_id + file.uid, first_id + file.gid)
        at.chmod(file.mode)


def _parents(upper: Path, tree: Path, directory: Path, first_id: int) -> None:
    """Make the directories on the way with the mode and owner they have in the image: the upper layer's count."""
    for part in (*reversed(directory.parents), directory):
        at = upper / part
        if part == Path() or at.is_dir():
            continue
        at.mkdir()
        below = tree / part
        info = below.stat() if below.is_dir() else None
        os.chown(at, first_id + (info.st_uid if info else 0), first_id + (info.st_gid if info else 0))
        at.chmod(stat.S_IMODE(info.st_mode) if info else 0o755)
