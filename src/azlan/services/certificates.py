"""TLS for loopback: an authority per installation that can vouch for nothing but localhost, and the server's certificate.

The authority's name constraints (RFC 5280, 4.2.1.10) permit `localhost` and loopback addresses alone, so that trusting it
harms no other connection. Keys are 0600. The server's certificate is renewed well before it runs out. `for_a_while` makes
another authority, for other names, that is in no file.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from azlan.services.vault import write_private

_AUTHORITY_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=397)
"""As long as browsers accept."""
_RENEW = timedelta(days=60)
_BRIEF_LIFE = timedelta(days=7)
_CLOCK_SKEW = timedelta(hours=1)
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_LOCAL = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files: the authority's certificate for clients, the server's chain and key for TLS."""

    authority: Path
    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Brief:
    """PEM of an authority's certificate for clients; of a server's certificate, the authority's and the server's key for TLS."""

    authority: bytes
    server: bytes


def for_a_while(*names: str) -> Brief:
    """A certificate for `names` from an authority of its own, which can vouch for them alone and, as its key is kept nowhere,
    never again. Nothing is written to any file."""
    permitted = [x509.DNSName(name) for name in names]
    ca_key, ca = _new_authority(f"Azlan authority for one command {os.urandom(4).hex()}", permitted, _BRIEF_LIFE)
    key, certificate = _server(ca_key, ca, permitted, _BRIEF_LIFE)
    pem = ca.public_bytes(serialization.Encoding.PEM)
    return Brief(pem, certificate.public_bytes(serialization.Encoding.PEM) + pem + _private(key))


def ensure(folder: Path, authority: Path, mark: str) -> Certificates:
    """Make what is missing, renew what runs out or does not fit together, leave the rest alone.

    `folder` holds the keys (0700); `authority` is where clients find the authority's certificate; its folder must
    exist. `mark` tells the authorities of several clouds apart. Safe to call from two processes at once.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder / ".certificates.lock"):
        ca_key, ca = _authority(folder, mark)
        pem = ca.public_bytes(serialization.Encoding.PEM)
        if _read(authority) != pem:
            write_public(authority, pem)
        chain, key = folder / "server.pem", folder / "server.key"
        if not _good(chain, key, ca):
            server_key, server = _server(ca_key, ca)
            write_private(key, _private(server_key))
            write_private(chain, server.public_bytes(serialization.Encoding.PEM) + pem)
        return Certificates(authority, chain, key)


def write_public(path: Path, content: bytes) -> None:
    """Replace a file that everybody may read. Its folder must exist."""
    write_private(path, content, 0o644)


def _authority(folder: Path, mark: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_path, path = folder / "ca.key", folder / "ca.pem"
    found = _load(path, key_path)
    if found is not None and found[1].not_valid_after_utc - datetime.now(UTC) > _SERVER_LIFE:
        return found
    permitted = [x509.DNSName("localhost"), *(x509.IPAddress(net) for net in _LOOPBACK)]
    key, certificate = _new_authority(f"Azlan local authority {mark} {os.urandom(4).hex()}", permitted, _AUTHORITY_LIFE)
    write_private(key_path, _private(key))
    write_private(path, certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _new_authority(
    common_name: str, permitted: Sequence[x509.GeneralName], life: timedelta
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Azlan"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def _server(
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    names: Sequence[x509.GeneralName] = _LOCAL,
    life: timedelta = _SERVER_LIFE,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key and its certificate for `names`, the first of them a DNS name."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value))]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return key, certificate


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _good(chain: Path, key: Path, ca: x509.Certificate) -> bool:
    """Whether the server's certificate is the authority's, matches its key and lasts a while yet."""
    found = _load(chain, key)
    if found is None or found[1].not_valid_after_utc - datetime.now(UTC) < _RENEW:
        return False
    try:
        found[1].verify_directly_issued_by(ca)
    except Exception:  # cryptography raises ValueError, TypeError or InvalidSignature; each means: make it anew
        return False
    return True


def _load(certificate: Path, key: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None:
    """Both, where they can be read and belong together."""
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        public = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != public.public_key():
        return None
    return private, public


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
