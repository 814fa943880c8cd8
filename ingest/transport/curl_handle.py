"""One libcurl easy handle: how it is set up, pointed at a request, and read when it is done.

Deliberately not here: driving many of them (curl).
Invariant: a handle carries nothing of its last request into the next one's outcome.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import pycurl

from ingest.transport.outgoing import ACCEPT_ENCODING, CONNECT_TIMEOUT_S, LOOPBACK, Outgoing
from ingest.wire import Answer, Failure, FailureKind, Request

# Longer than most records' own time to live (60 s at the exchanges' CDNs): a name server's bad minute costs nothing.
DNS_CACHE_S: Final = 300
# CURLE_HTTP2_STREAM, which pycurl has no name for. Source: curl/curl.h
_HTTP2_STREAM: Final = 92
#: Of some ten header lines of an answer all but two or three are those of the last one; cookies and rays are not.
_KNOWN_LINES: Final = 1024

_KINDS: Final[Mapping[int, FailureKind]] = {
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_COULDNT_CONNECT: "refused",
    pycurl.E_COULDNT_RESOLVE_HOST: "dns",
    pycurl.E_COULDNT_RESOLVE_PROXY: "dns",
    pycurl.E_GOT_NOTHING: "reset",
    pycurl.E_RECV_ERROR: "reset",
    pycurl.E_SEND_ERROR: "reset",
    pycurl.E_PARTIAL_FILE: "reset",
    pycurl.E_HTTP2: "reset",
    _HTTP2_STREAM: "reset",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_CERTPROBLEM: "tls",
    pycurl.E_SSL_CIPHER: "tls",
    pycurl.E_SSL_CACERT_BADFILE: "tls",
    pycurl.E_SSL_ISSUER_ERROR: "tls",
    pycurl.E_SSL_INVALIDCERTSTATUS: "tls",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What holds for all requests of a batch."""

    outgoing: Outgoing
    max_bytes: int
    request_timeout_s: float
    #: Let requests wait to learn whether the first connection speaks HTTP/2, rather than open one for each of them.
    waits_for_http2: bool


class Transfer:
    """An easy handle and what it is receiving. Made once, used for many requests."""

    __slots__ = (
        "chunks",
        "handle",
        "header_lines",
        "headers",
        "index",
        "request",
        "room_bytes",
        "sent_at",
        "timeout_s",
    )

    def __init__(self, ca_file: str, names: pycurl.CurlShare, keep_alive_s: float) -> None:
        self.handle = pycurl.Curl()
        self.header_lines: list[bytes] = []
        self.chunks: list[bytes] = []
        self.headers: list[tuple[str, str]] = []
        self.room_bytes = 0
        self.timeout_s = 0.0
        self.index = -1
        self.request = Request("/")
        self.sent_at = datetime.min.replace(tzinfo=UTC)
        _configure(self.handle, ca_file, names, keep_alive_s)
        # list.append is called by pycurl without a Python frame: about 8 header lines an answer cost next to nothing.
        self.handle.setopt(pycurl.HEADERFUNCTION, self.header_lines.append)
        self.handle.setopt(pycurl.WRITEFUNCTION, self._take)

    def prepare(self, index: int, request: Request, order: Order, sent_at: datetime) -> None:
        """Point the handle at a request. Raises ValueError or pycurl.error if it can't be sent as it is."""
        outgoing = order.outgoing
        headers = outgoing.headers(request)
        if headers != self.headers:
            self.handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers])
            self.headers = headers
        self.handle.setopt(pycurl.URL, outgoing.url(request))
        self.handle.setopt(pycurl.PIPEWAIT, int(order.waits_for_http2))
        timeout_s = outgoing.timeout_s(request, order.request_timeout_s)
        if timeout_s != self.timeout_s:
            self.handle.setopt(pycurl.TIMEOUT_MS, max(1, round(timeout_s * 1000)))
            self.timeout_s = timeout_s
        self.index, self.request, self.room_bytes = index, request, order.max_bytes
        self.sent_at = sent_at
        self.header_lines.clear()
        self.chunks.clear()

    def _take(self, chunk: bytes) -> int | None:
        """Keep a decompressed piece of the body; 0 makes libcurl stop, None stands for all of it."""
        self.room_bytes -= len(chunk)
        if self.room_bytes < 0:
            self.chunks.clear()
            return 0
        self.chunks.append(chunk)
        return None

    def answer(self, received_at: datetime) -> Answer:
        """Return what was received, complete."""
        status = self.handle.getinfo(pycurl.RESPONSE_CODE)
        body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        return Answer(self.request, status, _headers(self.header_lines), body, self.sent_at, received_at)

    def is_http2(self) -> bool:
        """Say whether the answer came over HTTP/2."""
        return bool(self.handle.getinfo(pycurl.INFO_HTTP_VERSION) == pycurl.CURL_HTTP_VERSION_2_0)

    def failure(self, code: int, text: str, outgoing: Outgoing, received_at: datetime) -> Failure:
        """Return why nothing complete was received, in our words for libcurl's `code`."""
        kind = _KINDS.get(code, "other")
        if code == pycurl.E_WRITE_ERROR and self.room_bytes < 0:
            kind, text = "too_large", "the body is larger than allowed, once decompressed"
        return outgoing.failure(self.request, kind, text, sent_at=self.sent_at, received_at=received_at)


def _configure(handle: pycurl.Curl, ca_file: str, names: pycurl.CurlShare, keep_alive_s: float) -> None:
    """Set what is the same for every request of every provider."""
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.CONNECTTIMEOUT_MS, int(CONNECT_TIMEOUT_S * 1000)),
        (pycurl.TCP_NODELAY, 1),
        (pycurl.TCP_KEEPALIVE, 1),
        # libcurl closes what was unused for this long when it looks for a connection, once a second at most.
        (pycurl.MAXAGE_CONN, max(1, round(keep_alive_s))),
        (pycurl.SHARE, names),
        (pycurl.DNS_CACHE_TIMEOUT, DNS_CACHE_S),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
        (pycurl.ACCEPT_ENCODING, ACCEPT_ENCODING),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.CAINFO, ca_file),
        (pycurl.NOPROXY, _no_proxy()),
    ):
        handle.setopt(option, value)


def _no_proxy() -> str:
    """Return the hosts that are asked directly. `*` stands for all, but to libcurl only by itself."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return "*" if named.strip() == "*" else ",".join(filter(None, (named, *LOOPBACK)))


def _headers(lines: Sequence[bytes]) -> dict[str, str]:
    """Return the last response's headers (an interim 1xx comes before it), repeated ones joined by a comma."""
    headers: dict[str, str] = {}
    for line in lines:
        name, value = _header(line)
        if name is None:
            headers = {}
        elif name:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


@lru_cache(maxsize=_KNOWN_LINES)
def _header(line: bytes) -> tuple[str | None, str]:
    """Return a header line's name and value; '' where it is none, None where it begins a response."""
    if line.startswith(b"HTTP/"):
        return None, ""
    name, colon, value = line.decode("latin-1").partition(":")
    return (name.lower(), value.strip()) if colon else ("", "")
