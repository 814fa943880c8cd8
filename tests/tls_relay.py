"""TLS in front of a server that has none: certificates of a CA of the test's own, and a relay that ends the encryption.

The wheels' PostgreSQL and Valkey are built without TLS; what is tested with this is our side, which is the same for a
server that has it. Deliberately not here: what a server decides (which users it lets in). Invariant: only loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ingest.settings import CHECKOUT

LOOPBACK = "127.0.0.1"
_SSL_REQUEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Certificates:
    """A CA's certificate, and one that it signed for 127.0.0.1 with its key, as files."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write a CA and a certificate for 127.0.0.1 into a folder."""
    folder.mkdir()
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _signed("a CA of a test", ca_key, ca_key, "a CA of a test", is_ca=True)
    server = _signed(LOOPBACK, key, ca_key, "a CA of a test", is_ca=False)
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    made.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )
    return made


def _signed(name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, issuer: str, *, is_ca: bool):
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if not is_ca:
        address = x509.IPAddress(ipaddress.ip_address(LOOPBACK))
        made = made.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return made.sign(by, hashes.SHA256())


@contextmanager
def relay(port: int, certificates: Certificates, *, postgres: bool = False) -> Iterator[int]:
    """Yield a port that speaks TLS and passes everything on to `port`. PostgreSQL asks for TLS before it begins."""
    kind = "postgres" if postgres else "redis"
    command = [sys.executable, "-m", "tests.tls_relay", str(port), kind, certificates.certificate, certificates.key]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def _serve(port: int, context: ssl.SSLContext, *, postgres: bool) -> None:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if postgres:
            await reader.readexactly(_SSL_REQUEST_BYTES)
            writer.write(b"S")
            await writer.start_tls(context)
        inner, outer = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(_copy(reader, outer), _copy(inner, writer))

    async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):  # the server is away, the client trusts somebody else
            await pass_on(reader, writer)
        writer.close()

    server = await asyncio.start_server(each, LOOPBACK, 0, ssl=None if postgres else context)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - whoever started this reads it
    await server.serve_forever()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        while piece := await source.read(65536):
            to.write(piece)
            await to.drain()
    to.close()


def _main(port: str, kind: str, certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    asyncio.run(_serve(int(port), context, postgres=kind == "postgres"))


if __name__ == "__main__":
    _main(*sys.argv[1:])
