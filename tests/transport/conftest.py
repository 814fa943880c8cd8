"""Fixtures of the transport's tests: the misbehaving server, both clients, a certificate of our own.

Invariant: every client made by a test is closed by the end of it.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.transport.client import Client, open_client
from tests.transport.server import LocalServer, serving

OpenClient = Callable[..., Client]
#: no name server knows it: it is reached through a proxy or not at all
CERTIFIED_HOST = "provider.invalid"
OPENSSL = shutil.which("openssl")


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with serving() as running:
        yield running


@pytest.fixture(params=["curl", "requests"])
def kind(request: pytest.FixtureRequest) -> str:
    """Name the implementation: each test that asks for it runs once with each."""
    return str(request.param)


@pytest.fixture
def connect(kind: str) -> Iterator[OpenClient]:
    """Return what opens a client of the kind under test."""
    opened: list[Client] = []

    def connect_(connections: int = 64, **options: object) -> Client:
        opened.append(open_client(kind, connections=connections, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield connect_
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate for 127.0.0.1 and a name, that nobody but its holder trusts."""
    if OPENSSL is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    command = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout {key} -out {made}"
    names = f"subjectAltName=IP:127.0.0.1,DNS:{CERTIFIED_HOST}"
    subprocess.run([OPENSSL, *command.split(), "-addext", names], check=True, capture_output=True)
    (folder / "both.pem").write_bytes(key.read_bytes() + made.read_bytes())
    return folder / "both.pem"


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients opened from now on trust the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[LocalServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as running:
        yield running
