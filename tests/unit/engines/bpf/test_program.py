"""The C sources: what Python and C must agree on, and what is said where the program cannot be built."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from azlan.contract import platform as contract
from azlan.contract.engine import Drop
from azlan.contract.world import Tag
from azlan.engines.bpf import engine, outside, program, render, tables

LAYOUT = (program.SOURCES / program.LAYOUT).read_text()


def constant(name: str) -> int:
    found = re.search(rf"#define {name} (0x[0-9a-f]+|\d+)", LAYOUT)
    assert found
    return int(found[1], 0)


def test_counters_stand_in_the_order_of_the_contract() -> None:
    text = (program.SOURCES / "packet.h").read_text()
    listed = re.search(r"enum counter \{(.*?)\};", text, re.S)
    assert listed
    names = re.findall(r"(COUNT|DROP)_(\w+),", listed[1])
    assert [name for kind, name in names if kind == "COUNT"] == ["DELIVERED"]
    assert [name for kind, name in names if kind == "DROP"] == [drop.name for drop in Drop]
    assert len(engine.COUNTERS) == len(names) <= constant("COUNTERS") == engine._KINDS


def test_constants_are_the_same_in_both_languages() -> None:
    assert constant("MAX_RULES") == render.MAX_RULES
    assert constant("NIC_FORWARDING") == render.NIC_FORWARDING
    assert constant("NIC_DEFAULT_OUTBOUND") == render.NIC_DEFAULT_OUTBOUND
    assert constant("TAG_WITHHELD") == Tag.WITHHELD
    assert constant("TAG_SPACE") == render.TAG_SPACE
    hops = re.search(r"enum next_hop \{ (.*) \}", LAYOUT)
    assert hops
    assert [getattr(render, name) for name in hops[1].split(", ")] == list(range(5))


def test_every_table_and_pointer_map_is_declared() -> None:
    declared = set(re.findall(r"^(?:MAP|HASH|LPM)\((\w+),", LAYOUT, re.M))
    assert {*tables.TABLE_MAPS, *tables.POINTER_MAPS} <= declared
    assert {"flows", "slots", "counted", "ports", "links", "transits", "unreachable"} <= declared
    assert set(re.findall(r"^LPM\((\w+),", LAYOUT, re.M)) == {*tables._LPM, "unreachable"}


def test_fabric_addresses_are_the_same_in_both_languages() -> None:
    text = (program.SOURCES / program.MAIN).read_text()
    mac = re.search(r"FABRIC_MAC\[6\] = \{ (.*) \}", text)
    assert mac
    assert ":".join(part[2:] for part in mac[1].split(", ")) == outside.FABRIC_MAC
    found = [int(number, 16) for number in re.findall(r"_ADDRESS bpf_htonl\((0x\w+)\)", text)]
    addresses = [".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)) for number in found]
    assert addresses == [contract.DNS_ADDRESS, contract.METADATA_ADDRESS] == sorted(contract.ADDRESSES)
    gates = (program.SOURCES / "gates.h").read_text()
    tags = {name: int(value) for name, value in re.findall(r"#define TAG_(PLATFORM_\w+) (\d+)", gates)}
    assert tags == {tag.name: tag for tag in (Tag.PLATFORM_DNS, Tag.PLATFORM_IMDS)}
    assert f"far_port == {contract.DNS_PORT} ?" in text


def test_a_build_is_named_by_its_sources_and_kept(tmp_path: Path) -> None:
    built = program.build_program(tmp_path)
    assert built.name == f"port-{program.source_hash()}.o"
    assert built.read_bytes()[:4] == b"\x7fELF"
    before = built.stat().st_mtime_ns
    assert program.build_program(tmp_path).stat().st_mtime_ns == before


def test_the_layout_changes_with_what_the_maps_hold_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, source = program.layout_hash(), program.source_hash()
    shutil.copytree(program.SOURCES, tmp_path / "program")
    monkeypatch.setattr(program, "SOURCES", tmp_path / "program")
    assert (program.layout_hash(), program.source_hash()) == (layout, source)
    with (tmp_path / "program" / "flows.h").open("a") as out:
        out.write("/* another */\n")
    assert program.layout_hash() == layout
    assert program.source_hash() != source
    with (tmp_path / "program" / "layout.h").open("a") as out:
        out.write("/* another */\n")
    assert program.layout_hash() != layout


def test_a_missing_compiler_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(program.BuildError, match="Debian packages clang"):
        program.build_program(tmp_path)


@pytest.mark.parametrize(
    ("said", "package"),
    [
        ("fatal error: 'bpf/bpf_helpers.h' file not found", "libbpf-dev"),
        ("fatal error: 'linux/ip.h' file not found", "linux-libc-dev"),
        ("error: expected ';'", "expected ';'"),
    ],
)
def test_a_failed_build_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, package: str) -> None:
    compiler = tmp_path / "clang"
    compiler.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(program.BuildError, match=re.escape(package)):
        program.build_program(tmp_path / "cache")
