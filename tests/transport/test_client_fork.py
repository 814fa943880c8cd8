"""A client made before a fork works on both sides of it, and neither side disturbs the other's connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.transport.server import LocalServer

ROOT = Path(__file__).resolve().parents[2]


def forked(kind: str, url: str, *more: str, **environment: str) -> dict[str, object]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.transport.forked", kind, url, *more],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)  # type: ignore[no-any-return]


def test_parent_and_child_each_use_connections_of_their_own(kind: str, server: LocalServer) -> None:
    assert forked(kind, server.url) == {"before": [200] * 3, "child": [200] * 3, "after": [200] * 3, "code": 0}
    assert server.opened == 2  # the parent's, which it still used afterwards, and the child's


def test_a_child_says_no_goodbye_on_its_parents_tls_connection(
    kind: str, tls_server: LocalServer, certificate: Path
) -> None:
    got = forked(kind, tls_server.url, SSL_CERT_FILE=str(certificate))
    assert got == {"before": [200] * 3, "child": [200] * 3, "after": [200] * 3, "code": 0}
    assert tls_server.opened == 2
