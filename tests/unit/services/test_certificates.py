"""TLS: what the authority may vouch for, what is private, what is renewed."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from azlan.services import certificates
from azlan.services.certificates import Certificates, ensure


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return again(tmp_path)


def again(folder: Path) -> Certificates:
    (folder / "public").mkdir(exist_ok=True)
    return ensure(folder / "control", folder / "public" / "ca.pem", "0123abcd")


def handshake(pems: Certificates, name: str, *, chain: Path | None = None, key: Path | None = None) -> None:
    """A client that trusts the authority alone connects to the server as `name`. Raises ssl.SSLError."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain or pems.chain, key or pems.key)
    client = ssl.create_default_context(cafile=str(pems.authority))
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(here, server_hostname=name).close()
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_loopback_is_trusted(made: Certificates, name: str) -> None:
    handshake(made, name)


def test_another_name_is_not(made: Certificates) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, "management.azure.com")


@pytest.mark.parametrize(
    "name", [x509.DNSName("login.microsoftonline.com"), x509.IPAddress(ipaddress.ip_address("10.0.0.4"))]
)
def test_the_authority_can_vouch_for_nothing_else(made: Certificates, tmp_path: Path, name: x509.GeneralName) -> None:
    """Even with the authority's stolen key a certificate for another name is worth nothing."""
    folder = tmp_path / "control"
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    key, good = certificates._server(ca_key, ca)
    builder = (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
    )
    for extension in good.extensions:
        if extension.oid != x509.SubjectAlternativeName.oid:
            builder = builder.add_extension(extension.value, extension.critical)
    forged = tmp_path / "forged.pem"
    forged.write_bytes(builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (tmp_path / "forged.key").write_bytes(certificates._private(key))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(made, str(name.value), chain=forged, key=tmp_path / "forged.key")


def test_keys_are_private(made: Certificates, tmp_path: Path) -> None:
    for path in (tmp_path / "control").glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.authority.stat().st_mode) == 0o644
    assert b"PRIVATE" not in made.authority.read_bytes() + made.chain.read_bytes()


def test_nothing_changes_while_all_is_well(made: Certificates, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "control").glob("*.*")}
    again(tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "control").glob("*.*")} == before


def test_a_certificate_is_renewed_before_it_runs_out(
    made: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = made.chain.read_bytes()
    authority = made.authority.read_bytes()
    monkeypatch.setattr(certificates, "_RENEW", timedelta(days=500))
    again(tmp_path)
    assert made.chain.read_bytes() != old
    assert made.authority.read_bytes() == authority
    handshake(made, "localhost")


@pytest.mark.parametrize("name", ["server.key", "server.pem", "ca.key", "ca.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN NONSENSE-----"])
def test_what_is_broken_is_made_anew(made: Certificates, tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / "control" / name
    path.unlink() if content is None else path.write_bytes(content)
    handshake(again(tmp_path), "localhost")


def test_two_starts_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: again(tmp_path), range(4)))
    handshake(made[0], "localhost")


@pytest.mark.parametrize(("name", "trusted"), [("a.example", True), ("b.example", True), ("localhost", False)])
def test_a_brief_certificate_is_for_its_names(tmp_path: Path, name: str, trusted: bool) -> None:
    brief = certificates.for_a_while("a.example", "b.example")
    authority, server = tmp_path / "authority.pem", tmp_path / "server.pem"
    authority.write_bytes(brief.authority)
    server.write_bytes(brief.server)
    pems = Certificates(authority, server, server)
    if trusted:
        handshake(pems, name)
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(pems, name)


def test_a_brief_authority_vouches_for_its_names_alone_and_never_again() -> None:
    brief = certificates.for_a_while("a.example")
    authority = x509.load_pem_x509_certificate(brief.authority)
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName("a.example")]
    (key,) = brief.server.split(b"-----BEGIN PRIVATE KEY-----")[1:]
    kept = serialization.load_pem_private_key(b"-----BEGIN PRIVATE KEY-----" + key, None)
    assert kept.public_key() != authority.public_key()
    assert authority.not_valid_after_utc - authority.not_valid_before_utc < timedelta(days=8)
    assert certificates.for_a_while("a.example").authority != brief.authority
