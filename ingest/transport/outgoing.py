"""What a request looks like when it leaves: URL, headers, trust, proxies. The same for both clients.

Deliberately not here: sending, and anything about the answer but the words of a Failure.
Invariant: the endpoint's key enters a URL or a header here, and `Outgoing.redact` takes it out of every text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import certifi

from ingest.settings import LONGEST_REQUEST_S
from ingest.wire import Endpoint, Failure, FailureKind, Request

USER_AGENT: Final = "tickfarm/0.1"
# No brotli or zstd: requests reads them only with extra packages, and both clients must ask for the same bytes.
ACCEPT_ENCODING: Final = "gzip, deflate"
# Far above any sane handshake (a continent away: 0.3 s), far below a batch's deadline.
CONNECT_TIMEOUT_S: Final = 3.0
# One request without a word of its own about it: the standard preset's.
REQUEST_TIMEOUT_S: Final = 10.0
# Less than providers' own (a minute and more), so that a connection is seldom closed under a request on its way.
KEEP_ALIVE_S: Final = 30.0
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
# A Failure's detail is one log line.
DETAIL_LENGTH: Final = 200

_REDACTED: Final = "[redacted]"
# Everything RFC 3986 allows in a path, and `%`, because a provider's path comes percent-encoded where it must be.
_PATH_SAFE: Final = "/%:@!$&'()*+,;=~-._?"


class Outgoing:
    """The requests of one batch as they go over the wire to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._base_url = endpoint.base_url
        self._keys = () if endpoint.key is None else endpoint.key.parts
        self._secret = _secret_pattern([key.value for key in self._keys])
        self._headers: dict[tuple[tuple[str, str], ...], list[tuple[str, str]]] = {}

    @property
    def is_tls(self) -> bool:
        """Say whether connections are encrypted."""
        return self._base_url.startswith("https:")

    @property
    def is_loopback(self) -> bool:
        """Say whether the endpoint is on this machine, where no proxy may stand in between."""
        return urlsplit(self._base_url).hostname in LOOPBACK

    def url(self, request: Request) -> str:
        """Return the full URL, key included where it goes into the query: never log or store it."""
        url = f"{self._base_url}{quote(request.path, safe=_PATH_SAFE)}"
        params = (*request.params, *self._sent("query"))
        return f"{url}{'&' if '?' in url else '?'}{urlencode(params, quote_via=quote)}" if params else url

    def headers(self, request: Request) -> list[tuple[str, str]]:
        """Return the headers, key included where it goes into one: never log or store them.

        Raises ValueError for a name or value that is not printable ASCII: it would be a second header, or none. Made
        once for all requests of the batch that have the same headers of their own, which mostly is none.
        """
        made = self._headers.get(request.headers)
        if made is None:
            made = self._headers[request.headers] = self._made(request)
        return made

    def _made(self, request: Request) -> list[tuple[str, str]]:
        own = {name.lower() for name, _ in request.headers}
        ours = (("user-agent", USER_AGENT), ("accept", "*/*"))
        headers = [*(header for header in ours if header[0] not in own), *request.headers, *self._sent("header")]
        for name, value in headers:
            if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
                raise ValueError("a header (or the key in it) holds a character that is not printable ASCII")
        return headers

    def _sent(self, place: Literal["query", "header"]) -> list[tuple[str, str]]:
        return [(key.name, f"{key.prefix}{key.value}") for key in self._keys if key.place == place]

    @staticmethod
    def timeout_s(request: Request, otherwise_s: float) -> float:
        """Return how long a request may take: what it says itself, or else `otherwise_s`; 1 ms to 30 s."""
        wanted_s = otherwise_s if request.timeout_s is None else request.timeout_s
        return min(max(wanted_s, 0.001), LONGEST_REQUEST_S)

    def redact(self, text: str) -> str:
        """Return the text without the key, plain or percent-encoded, on one line and at most a log line long."""
        if self._secret is not None:
            text = self._secret.sub(_REDACTED, text)
        return " ".join(text.split())[:DETAIL_LENGTH]

    def failure(
        self, request: Request, kind: FailureKind, text: str, *, sent_at: datetime, received_at: datetime
    ) -> Failure:
        """Return a Failure whose detail is redacted."""
        return Failure(request, kind, self.redact(text), sent_at, received_at)


def ca_bundle() -> str:
    """Return the file of certificate authorities: the operator's (a proxy of the house), or certifi's."""
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(variable):
            return path
    return certifi.where()


def _secret_pattern(values: Iterable[str]) -> re.Pattern[str] | None:
    """Return what matches a key (or a part of it) in any spelling a URL, a header or a Python repr gives it."""
    spellings: set[str] = set()
    for value in filter(None, values):
        escaped = value.encode("unicode_escape").decode("ascii")
        spellings |= {value, quote(value, safe=""), quote(value), quote_plus(value), escaped}
    if not spellings:
        return None
    longest_first = sorted(spellings, key=len, reverse=True)
    return re.compile("|".join(re.escape(spelling) for spelling in longest_first), re.IGNORECASE)
