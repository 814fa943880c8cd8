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
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    loop, bound, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if postgres:
            await reader.readexactly(_SSL_REQUEST_BYTES)
            writer.write(b"S")
            await writer.start_tls(context)
        inner, outer = await asyncio.open_connection(LOOPBACK, port)
        try:
            await asyncio.gather(_copy(reader, outer), _copy(inner, writer))
        finally:
            outer.close()
            writer.close()

    async def serve() -> None:
        with_tls = None if postgres else context
        server = await asyncio.start_server(pass_on, LOOPBACK, 0, ssl=with_tls)
        ports.append(server.sockets[0].getsockname()[1])
        bound.set()
        await end.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=_run, args=(loop, serve))
    thread.start()
    assert bound.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)


def _run(loop: asyncio.AbstractEventLoop, serve) -> None:
    loop.set_exception_handler(lambda *_: None)  # clients that hang up in the middle of a handshake are no news
    try:
        loop.run_until_complete(serve())
        loop.run_until_complete(asyncio.sleep(0.05))
    finally:
        loop.close()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(65536):
            to.write(piece)
            await to.drain()
    with contextlib.suppress(OSError, RuntimeError):
        to.close()
