"""The identity of a machine, as the files that are laid over its image."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from azlan.contract.world import GuestLogin, Nic, NicAddress, Vnet
from azlan.machines.identity import (
    GuestFile,
    IdentityError,
    guest_files,
    host_keys,
    lay,
    resolv_conf,
)

IMAGE = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/bash\nbackup:x:34:34::/:/bin/false\nubuntu:x:1000:1000::/:/bin/sh\n",
    "etc/shadow": b"root:*:19000:0:99999:7:::\n",
    "etc/group": b"root:x:0:\nsudo:x:27:\nadm:x:4:syslog\nshadow:x:42:\nubuntu:x:1000:\nstaff:x:50:\n",
    "etc/ssh/sshd_config": b"# Of sshd\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n",
    "etc/skel/.bashrc": b"bashrc",
    "etc/skel/.profile": b"profile",
    "etc/skel/.bash_logout": b"logout",
}


def made(login: GuestLogin | None) -> dict[str, GuestFile]:
    return {file.path: file for file in guest_files("vm-1", login, "ab" * 16, IMAGE.__getitem__)}


def test_an_account_with_a_password() -> None:
    files = made(GuestLogin(username="azureuser", password_hash="$6$x$y"))
    assert files["etc/passwd"].data == IMAGE["etc/passwd"] + b"azureuser:x:1001:1001::/home/azureuser:/bin/bash\n"
    assert (files["etc/shadow"].data or b"").endswith(b"azureuser:$6$x$y:19700:0:99999:7:::\n")
    assert (files["etc/shadow"].mode, files["etc/shadow"].gid) == (0o640, 42)
    assert b"sudo:x:27:azureuser\nadm:x:4:syslog,azureuser\n" in (files["etc/group"].data or b"")
    assert files["etc/sudoers.d/90-cloud-init-users"].data == b"azureuser ALL=(ALL) NOPASSWD:ALL\n"
    assert files["etc/sudoers.d/90-cloud-init-users"].mode == 0o440
    assert files["etc/ssh/sshd_config.d/50-cloud-init.conf"].data == b"PasswordAuthentication yes\n"
    home = files["home/azureuser"]
    assert (home.data, home.mode, home.uid, home.gid) == (None, 0o750, 1001, 1001)
    assert files["home/azureuser/.bashrc"].data == b"bashrc"
    assert "home/azureuser/.ssh/authorized_keys" not in files


def test_an_account_with_keys_takes_no_password() -> None:
    files = made(GuestLogin(username="ada", ssh_keys=("ssh-ed25519 AAAA a", "ssh-rsa BBBB b\n")))
    assert b"ada:!:" in (files["etc/shadow"].data or b"")
    assert files["etc/ssh/sshd_config.d/50-cloud-init.conf"].data == b"PasswordAuthentication no\n"
    keys = files["home/ada/.ssh/authorized_keys"]
    assert (keys.data, keys.mode, keys.uid) == (b"ssh-ed25519 AAAA a\nssh-rsa BBBB b\n", 0o600, 1001)


@pytest.mark.parametrize(("hash_", "answer"), [("$6$x$y", b"yes"), (None, b"no")])
def test_an_sshd_that_includes_no_files(hash_: str | None, answer: bytes) -> None:
    image = {**IMAGE, "etc/ssh/sshd_config": b"# Of OpenSSH 7.6\nUsePAM yes\n"}
    files = guest_files("vm-1", GuestLogin(username="u", password_hash=hash_), "ab" * 16, image.__getitem__)
    (config,) = (file for file in files if file.path.startswith("etc/ssh/"))
    assert (config.path, config.mode) == ("etc/ssh/sshd_config", 0o644)
    assert config.data == b"PasswordAuthentication " + answer + b"\n# Of OpenSSH 7.6\nUsePAM yes\n"


def test_names() -> None:
    files = made(None)
    assert set(files) == {"etc/hostname", "etc/hosts", "etc/machine-id"}
    assert files["etc/hostname"].data == b"vm-1\n"
    assert b"127.0.1.1 vm-1\n" in (files["etc/hosts"].data or b"")


def nic(**given: Any) -> Nic:
    return Nic(
        id="/n", vnet="vnet:/v", subnet="/v/subnets/s", mac="00:0d:3a:00:00:01", prefix_length=24, gateway="10.0.0.1",
        addresses=(NicAddress(private="10.0.0.4"),), routes="routes:/v|", **given,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mine", "networks", "expected"),
    [
        ((), (), "search abc.ex.internal.cloudapp.net\nnameserver 168.63.129.16\n"),
        ((), ("10.0.0.9", "10.0.0.10"), "search reddog.microsoft.com\nnameserver 10.0.0.9\nnameserver 10.0.0.10\n"),
        (("10.0.0.8",), ("10.0.0.9",), "search reddog.microsoft.com\nnameserver 10.0.0.8\n"),
        (("168.63.129.16",), ("10.0.0.9",), "search abc.ex.internal.cloudapp.net\nnameserver 168.63.129.16\n"),
    ],
)
def test_whom_a_guest_asks_for_names(mine: tuple[str, ...], networks: tuple[str, ...], expected: str) -> None:
    vnet = Vnet(
        id="/v", location="l", prefixes=(), tags=(), dns_servers=networks, dns_suffix="abc.ex.internal.cloudapp.net"
    )
    assert resolv_conf((nic(dns_servers=mine), nic(dns_servers=("10.9.9.9",))), {"vnet:/v": vnet}) == expected


def test_without_a_network_azures_dns_is_asked_all_the_same() -> None:
    assert resolv_conf((), {}) == "search reddog.microsoft.com\nnameserver 168.63.129.16\n"


@pytest.mark.parametrize("name", ["root", "backup", "ubuntu"])
def test_a_name_of_the_system_is_refused(name: str) -> None:
    with pytest.raises(IdentityError, match=name):
        made(GuestLogin(username=name, password_hash="x"))


def test_a_user_named_like_a_group_joins_it() -> None:
    files = made(GuestLogin(username="staff", password_hash="x"))
    assert b"staff:x:1001:50::/home/staff:/bin/bash\n" in (files["etc/passwd"].data or b"")


def test_custom_data_is_kept_and_a_script_runs_once() -> None:
    script = made(GuestLogin(username="u", custom_data=b"#!/bin/sh\ntrue\n"))
    assert script["var/lib/cloud/instance/user-data.txt"].data == b"#!/bin/sh\ntrue\n"
    unit = script["etc/systemd/system/azlan-custom-data.service"].data or b""
    assert b"ConditionPathExists=!/var/lib/cloud/instance/sem/config_scripts_user" in unit
    assert script["etc/systemd/system/multi-user.target.wants/azlan-custom-data.service"].link
    config = made(GuestLogin(username="u", custom_data=b"#cloud-config\n"))
    assert config["var/lib/cloud/instance/user-data.txt"].data == b"#cloud-config\n"
    assert not [path for path in config if "systemd" in path]


def test_host_keys_are_new_each_time_and_can_be_read() -> None:
    first, second = host_keys("vm-1"), host_keys("vm-1")
    assert [f.path for f in first] == [
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_ed25519_key.pub",
        "etc/ssh/ssh_host_ecdsa_key",
        "etc/ssh/ssh_host_ecdsa_key.pub",
    ]
    for private, public in (first[:2], first[2:]):
        key = asyncssh.import_private_key(private.data or b"")
        assert key.export_public_key().split()[:2] == (public.data or b"").split()[:2]
        assert private.mode == 0o600
    assert first[0].data != second[0].data


@pytest.mark.root
def test_laid_files_belong_to_the_machine_and_directories_keep_their_mode(tmp_path: Path) -> None:
    tree, upper, first = tmp_path / "tree", tmp_path / "upper", 0x7000_0000
    (tree / "etc/sudoers.d").mkdir(parents=True)
    (tree / "etc/sudoers.d").chmod(0o750)
    upper.mkdir()
    files = [
        GuestFile("etc/sudoers.d/x", b"x", 0o440),
        GuestFile("home/u", None, 0o750, 1000, 1000),
        GuestFile("etc/new/link", None, link="/somewhere"),
    ]
    lay(upper, tree, files, first)
    for path, mode, owner in (
        ("etc", 0o755, first),
        ("etc/sudoers.d", 0o750, first),
        ("etc/sudoers.d/x", 0o440, first),
        ("home", 0o755, first),
        ("home/u", 0o750, first + 1000),
        ("etc/new", 0o755, first),
    ):
        info = (upper / path).stat()
        assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (mode, owner, owner), path
    assert os.readlink(upper / "etc/new/link") == "/somewhere"
