"""A key reaches the provider and nothing else: no repr, no detail, no log."""

from __future__ import annotations

import json
import logging
import string
from typing import Literal
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.transport.outgoing import Outgoing
from ingest.wire import Answer, Endpoint, Failure, Key, Request
from tests.transport.conftest import OpenClient
from tests.transport.server import LocalServer

SECRET = "s3cr3t/+&= %key~'\""
SPELLINGS = {SECRET, quote(SECRET, safe=""), quote(SECRET), quote_plus(SECRET), repr(SECRET)[1:-1]}
CAP = 100_000
BROKEN = ["/reset", "/cut", "/hang", "/garbage", "/big/200000"]


def reveals(text: str) -> bool:
    return any(spelling in text for spelling in SPELLINGS) or "s3cr3t" in text


@pytest.mark.parametrize("place", ["query", "header"])
def test_a_key_is_sent_and_shows_nowhere(
    connect: OpenClient, server: LocalServer, place: Literal["query", "header"], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint = Endpoint(server.url, Key(place, "X-Api-Key", SECRET))
    requests = [Request("/echo", (("symbol", "A"),)), *(Request(path, (("symbol", "B"),)) for path in BROKEN)]
    got = connect().send(requests, endpoint, deadline_s=1.0, max_bytes=CAP)

    echoed = got[0]
    assert isinstance(echoed, Answer)
    seen = json.loads(echoed.body)
    if place == "query":
        assert seen["query"] == [["symbol", "A"], ["X-Api-Key", SECRET]]
    else:
        assert seen["headers"]["x-api-key"] == SECRET
    failures = [outcome for outcome in got[1:] if isinstance(outcome, Failure)]
    assert len(failures) == len(BROKEN)
    assert not reveals(repr(failures))
    assert not reveals(repr((echoed.request, echoed.headers, endpoint)))
    assert not reveals(caplog.text)
    assert [outcome.request for outcome in got] == requests


def test_a_key_of_two_parts_is_sent_in_both_places_and_neither_part_shows(
    connect: OpenClient, server: LocalServer
) -> None:
    crumb = Key("query", "crumb", "other-s3cr3t/+")
    endpoint = Endpoint(server.url, Key("header", "cookie", SECRET, "A3=", crumb))
    echoed, cut = connect().send([Request("/echo"), Request("/garbage")], endpoint, deadline_s=2, max_bytes=CAP)
    assert isinstance(echoed, Answer)
    seen = json.loads(echoed.body)
    assert (seen["headers"]["cookie"], seen["query"]) == (f"A3={SECRET}", [["crumb", "other-s3cr3t/+"]])
    assert isinstance(cut, Failure)
    assert not reveals(repr((echoed.request, echoed.headers, endpoint, cut)))
    assert Outgoing(endpoint).redact(f"{SECRET} other-s3cr3t%2F%2B") == "[redacted] [redacted]"


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1", "http://no-such-host.invalid", "nonsense", "http://["])
def test_a_key_shows_in_no_detail_of_what_could_not_be_sent(
    connect: OpenClient, base_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for place in ("query", "header"):
        endpoint = Endpoint(base_url, Key(place, "apikey", SECRET))
        got = connect().send([Request("/x")], endpoint, deadline_s=2, max_bytes=CAP)
        assert isinstance(got[0], Failure)
        assert got[0].detail
        assert not reveals(repr(got))
    assert not reveals(caplog.text)


@pytest.mark.parametrize("value", ["s3cr3t\r\nx-evil: 1", "s3cr3t\n", "s3cr3té"])
def test_a_header_key_that_would_break_the_header_is_not_sent(
    connect: OpenClient, server: LocalServer, value: str
) -> None:
    endpoint = Endpoint(server.url, Key("header", "x-key", value))
    got = connect().send([Request("/ok")], endpoint, deadline_s=2, max_bytes=CAP)
    assert isinstance(got[0], Failure)
    assert got[0].kind == "other"
    assert "s3cr3t" not in got[0].detail
    assert server.paths == []


@given(
    key=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=8, max_size=40),
    around=st.text(string.ascii_letters + " :/?", max_size=20),
)
def test_redaction_finds_a_key_in_every_spelling(key: str, around: str) -> None:
    outgoing = Outgoing(Endpoint("http://x", Key("query", "k", key)))
    for spelling in (key, quote(key, safe=""), quote(key), quote_plus(key), quote(key, safe="").lower()):
        assert outgoing.redact(f"<{spelling}>") == "<[redacted]>"
    assert len(outgoing.redact(around * 100)) <= 200
