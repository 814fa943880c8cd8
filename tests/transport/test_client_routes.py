"""How both clients get to a provider: TLS that is verified, HTTP/2, proxies, names remembered, redirects not followed.

Deliberately not here: what the answers hold. Invariant: nothing here leaves loopback; names that only a proxy knows
end in `.invalid`.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pycurl
import pytest

from ingest.transport import curl_handle
from ingest.wire import Endpoint, Key, Request
from tests.transport.conftest import CERTIFIED_HOST, OpenClient
from tests.transport.h2_server import BODY, serving_h2
from tests.transport.proxy import proxying
from tests.transport.sending import CAP, answer, failure, send, until
from tests.transport.server import LocalServer, serving

SECRET = "planted-secret"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def port_of(server: LocalServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


@pytest.mark.usefixtures("trusted")
def test_a_certificate_that_is_trusted_is_taken_for_its_own_names_only(
    connect: OpenClient, tls_server: LocalServer
) -> None:
    client = connect()
    assert answer(send(client, tls_server, "/ok/1")[0]).body == b"ok 1"
    misnamed = Endpoint(tls_server.url.replace("127.0.0.1", "localhost"))
    got = client.send([Request("/ok/2")], misnamed, deadline_s=5, max_bytes=CAP)
    assert failure(got[0]).kind == "tls"
    assert tls_server.paths == ["/ok/1"]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_gets_a_tunnel_and_sees_neither_path_nor_key(
    connect: OpenClient, tls_server: LocalServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    endpoint = Endpoint(f"https://{CERTIFIED_HOST}", Key("query", "apikey", SECRET))
    with proxying(provider_invalid=port_of(tls_server)) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        got = connect().send([Request("/ok/1")], endpoint, deadline_s=5, max_bytes=CAP)
    assert answer(got[0]).body == b"ok 1"
    assert tls_server.paths == [f"/ok/1?apikey={SECRET}"]
    [head] = proxy.heads
    assert head.startswith(f"CONNECT {CERTIFIED_HOST}:443 ")
    assert SECRET not in head
    assert "/ok" not in head


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("names", [CERTIFIED_HOST, f"example.com,.{CERTIFIED_HOST.partition('.')[2]}", "*"])
def test_what_no_proxy_names_is_not_asked_of_the_proxy(
    connect: OpenClient, tls_server: LocalServer, monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    with proxying(provider_invalid=port_of(tls_server)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", names)
        got = connect().send([Request("/ok")], Endpoint(f"https://{CERTIFIED_HOST}"), deadline_s=5, max_bytes=CAP)
    assert failure(got[0]).kind == "dns"
    assert proxy.heads == []


def test_a_key_does_not_follow_a_redirect_to_another_host(connect: OpenClient, server: LocalServer) -> None:
    with serving() as other:
        server.elsewhere = other.url
        for place in ("query", "header"):
            endpoint = Endpoint(server.url, Key(place, "apikey", SECRET))  # type: ignore[arg-type]
            got = answer(connect().send([Request("/redirect")], endpoint, deadline_s=5, max_bytes=CAP)[0])
            assert (got.status, got.headers["location"]) == (302, f"{other.url}/ok/elsewhere")
        assert (other.opened, other.paths) == (0, [])


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("kind", ["curl"], indirect=True)
def test_over_http2_many_requests_travel_on_one_connection_at_the_same_time(
    connect: OpenClient, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    client = connect(64)
    with serving_h2(context, gather=50) as h2:
        for _ in range(2):
            got = client.send([Request(f"/{i}") for i in range(50)], Endpoint(h2.url), deadline_s=5, max_bytes=CAP)
            assert {answer(outcome).body for outcome in got} == {BODY}
        assert (h2.connections, h2.protocols, h2.most_streams) == (1, ["h2"], 50)


@pytest.mark.usefixtures("trusted")
def test_a_server_that_speaks_no_http2_is_asked_in_http1_on_many_connections(
    connect: OpenClient, tls_server: LocalServer
) -> None:
    client = connect()
    assert answer(send(client, tls_server, "/ok/1")[0]).body == b"ok 1"
    tls_server.close_connections()
    until(lambda: tls_server.open_now == 0)
    # All at once although none is open: who speaks what was learnt from the first answer.
    got = send(client, tls_server, *["/gather/20"] * 20)
    assert {answer(outcome).body for outcome in got} == {b"together"}
    assert tls_server.opened == 21


@pytest.mark.parametrize("kind", ["curl"], indirect=True)
def test_a_name_is_looked_up_once_in_five_minutes_even_if_its_connections_were_closed(
    connect: OpenClient, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    options: dict[int, Any] = {}

    class Telling(pycurl.Curl):  # type: ignore[misc]
        """libcurl that says what it does; nobody else can see a name being looked up."""

        def setopt(self, option: int, value: Any) -> None:
            options[option] = value
            super().setopt(option, value)

    def hear(_kind: int, text: bytes) -> None:
        said.append(text.decode(errors="replace").strip())

    monkeypatch.setattr(pycurl, "Curl", Telling)
    client = connect(2)
    endpoint = Endpoint(server.url.replace("127.0.0.1", "localhost"))
    transfer_of = curl_handle.Transfer.__init__

    def talking(self: curl_handle.Transfer, *arguments: Any) -> None:
        transfer_of(self, *arguments)
        self.handle.setopt(pycurl.VERBOSE, 1)
        self.handle.setopt(pycurl.DEBUGFUNCTION, hear)

    monkeypatch.setattr(curl_handle.Transfer, "__init__", talking)
    for _ in range(2):
        assert answer(client.send([Request("/ok/1")], endpoint, deadline_s=5, max_bytes=CAP)[0]).body == b"ok 1"
        client.drop()  # type: ignore[attr-defined]
    assert server.opened == 2
    assert len([line for line in said if "was found in DNS cache" in line]) == 1
    assert options[pycurl.DNS_CACHE_TIMEOUT] == 300
