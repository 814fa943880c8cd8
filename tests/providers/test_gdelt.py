"""GDELT: topics as words and phrases, times on a grid, sentences in place of JSON, and a full answer made smaller."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import gdelt
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer, payload

NEWS = Query("news", ("INTEREST.RATES",), None, T0, T0 + timedelta(days=1))
NEWEST = Query("news", ("BITCOIN",))
TICK = timedelta(minutes=15)
COLUMNS = ["instrument", "ts", "article_id", "title", "url", "source", "language", "instruments"]


def reply(body, query=NEWS, *, status=200, headers=None, request=None):
    """Return an answer to the query's request, or to the one given, received an hour after its end."""
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    said = answer(body, status=status, headers=headers)
    at = T0 + timedelta(days=1, hours=1)
    return replace(said, request=request or gdelt.build(query)[0], sent_at=at, received_at=at)


def article(number, seen, **fields):
    """Return an article that was seen so long after T0."""
    stamp = (T0 + seen).strftime("%Y%m%dT%H%M%SZ")
    texts = {"url": f"https://example.com/{number}", "title": f"Story {number}", "seendate": stamp}
    return texts | {"domain": "example.com", "language": "English"} | fields


@pytest.fixture
def answers_of_four(monkeypatch):
    monkeypatch.setattr(gdelt, "PAGE_ROWS", 4)


def test_a_window_is_asked_for_with_a_second_more_at_its_start_newest_first():
    (request,) = gdelt.build(replace(NEWS, start=T0 + timedelta(seconds=7.5), end=T0 + timedelta(seconds=99.25)))
    assert request.path == "/api/v2/doc/doc"
    assert request.params == (
        ("query", '"interest rates"'),
        ("mode", "ArtList"),
        ("format", "json"),
        ("maxrecords", "250"),
        ("sort", "DateDesc"),
        ("startdatetime", "20241001000006"),
        ("enddatetime", "20241001000140"),
    )
    assert (request.instruments, request.timeout_s) == (("INTEREST.RATES",), 25.0)
    assert (request.start, request.end) == (T0 + timedelta(seconds=7.5), T0 + timedelta(seconds=99.25))


def test_a_live_poll_asks_for_the_newest_of_a_day_a_topic_at_a_time():
    first, second = gdelt.build(Query("news", ("BITCOIN", "OIL.PRICE", "BITCOIN"), None, None, T0))
    assert dict(first.params) == {
        "query": "bitcoin",
        "mode": "ArtList",
        "format": "json",
        "maxrecords": "250",
        "sort": "DateDesc",
        "timespan": "1d",
    }
    assert (second.instruments, second.start, second.end) == (("OIL.PRICE",), None, None)
    assert second.timeout_s == 25.0


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("news", ("BTC-USD",)), FixRequest),
        (Query("news", ("UK",)), FixRequest),
        (Query("news", ("A.BC",)), FixRequest),
        (Query("news", ("interest rates",)), FixRequest),
        (Query("bars", ("BITCOIN",), "1d"), UnknownName),
        (replace(NEWS, end=None), FixRequest),
        (replace(NEWS, start=datetime(2016, 1, 1, tzinfo=UTC), end=datetime(2017, 1, 1, tzinfo=UTC)), FixRequest),
    ],
)
def test_what_gdelt_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        gdelt.build(query)


def test_the_documented_articles_are_read_as_they_stand_with_their_url_for_an_id():
    parsed = gdelt.parse(NEWEST, reply(payload("gdelt", "articles"), NEWEST))
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    assert list(parsed.columns) == COLUMNS
    seen = [int(datetime(2026, 1, 5, 12, minute, tzinfo=UTC).timestamp()) for minute in (30, 15, 15)]
    urls = [
        "https://example.com/a",
        "https://www.eluniversal.com.mx/edomex/caso-ana",
        "https://example.org/same-story",
    ]
    assert parsed.columns == {
        "instrument": ["BITCOIN"] * 3,
        "ts": seen,
        "article_id": urls,
        "title": [
            "Headline : Rates , Again ?",
            'Caso Ana María : "Trasladan" al penal',
            "Headline : Rates , Again ?",
        ],
        "url": urls,
        "source": ["example.com", "eluniversal.com.mx", "example.org"],
        "language": ["English", "Spanish", "English"],
        "instruments": [""] * 3,
    }


def test_no_hits_are_an_object_without_articles_and_no_error():
    for body in (payload("gdelt", "no_hits"), '{"articles":[]}'):
        answered = reply(body)
        assert gdelt.error_of(answered) is None
        parsed = gdelt.parse(NEWS, answered)
        assert (list(parsed.columns), parsed.columns["ts"], parsed.rejects) == (COLUMNS, [], ())
        assert gdelt.next_page(answered.request, answered) is None


def test_escapes_that_json_does_not_know_and_control_characters_are_read_as_they_stand():
    answered = reply(payload("gdelt", "bad_escapes"), NEWEST)
    assert gdelt.error_of(answered) is None
    assert gdelt.parse(NEWEST, answered).columns["title"] == ["It\\'s a\tC:\\dir A \\ud \\d of\nlines"]


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        "row",
        {},
        article(1, TICK, url=""),
        article(1, TICK, url=None),
        article(1, TICK, seendate=None),
        article(1, TICK, seendate="2026-01-05T12:30:00Z"),
        article(1, TICK, seendate="20260230T123000Z"),
        article(1, TICK, title=7),
        article(1, TICK, domain=[]),
    ],
)
def test_an_article_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    parsed = gdelt.parse(NEWS, reply({"articles": [article(2, 2 * TICK), row, article(0, 0 * TICK)]}))
    assert parsed.columns["title"] == ["Story 2", "Story 0"]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("INTEREST.RATES", "wrong_shape")]


def test_a_null_title_is_left_to_the_quality_rules():
    assert gdelt.parse(NEWS, reply({"articles": [article(0, TICK, title=None)]})).columns["title"] == [None]


def test_what_only_the_seconds_beside_the_window_brought_is_cut_and_nothing_else():
    second, day = timedelta(seconds=1), timedelta(days=1)
    ages = [day + TICK, day + second, day, day - second, 0 * second, -second, -TICK]
    parsed = gdelt.parse(NEWS, reply({"articles": [article(i, age) for i, age in enumerate(ages)]}))
    assert parsed.columns["title"] == ["Story 0", "Story 3", "Story 4", "Story 6"]


@pytest.mark.usefixtures("answers_of_four")
def test_a_full_answer_is_cut_before_its_oldest_moment_which_the_next_one_begins_with():
    (request,) = gdelt.build(NEWS)
    full = reply({"articles": [article(i, ticks * TICK) for i, ticks in enumerate((9, 8, 7, 7))]}, request=request)
    following = gdelt.next_page(request, full)
    assert dict(following.params)["enddatetime"] == "20241001014501"
    assert {**dict(following.params), "enddatetime": ""} == {**dict(request.params), "enddatetime": ""}
    assert (following.start, following.end) == (request.start, request.end)
    assert gdelt.parse(NEWS, full).columns["title"] == ["Story 0", "Story 1"]
    rest = reply({"articles": [article(i, ticks * TICK) for i, ticks in enumerate((7, 7, 0))]}, request=following)
    assert gdelt.parse(NEWS, rest).columns["title"] == ["Story 0", "Story 1", "Story 2"]
    assert gdelt.next_page(following, rest) is None


@pytest.mark.usefixtures("answers_of_four")
def test_an_answer_full_of_one_moment_is_a_finding_and_the_next_goes_on_before_it():
    (request,) = gdelt.build(NEWS)
    full = reply({"articles": [article(i, 7 * TICK) for i in range(4)]}, request=request)
    following = gdelt.next_page(request, full)
    assert dict(following.params)["enddatetime"] == "20241001014459"
    parsed = gdelt.parse(NEWS, full)
    assert parsed.columns["title"] == [f"Story {i}" for i in range(4)]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("INTEREST.RATES", "missing_rows")]
    at_the_start = reply({"articles": [article(i, 0 * TICK) for i in range(4)]}, request=request)
    assert gdelt.next_page(request, at_the_start) is None
    assert [r.rule for r in gdelt.parse(NEWS, at_the_start).rejects] == ["missing_rows"]


@pytest.mark.usefixtures("answers_of_four")
def test_an_answer_full_of_the_moment_that_the_window_ends_with_has_lost_nothing_of_it():
    (request,) = gdelt.build(NEWS)
    full = reply({"articles": [article(i, timedelta(days=1)) for i in range(4)]}, request=request)
    parsed = gdelt.parse(NEWS, full)
    assert (parsed.columns["title"], parsed.rejects) == ([], ())
    assert dict(gdelt.next_page(request, full).params)["enddatetime"] == "20241001235959"


@pytest.mark.usefixtures("answers_of_four")
@pytest.mark.parametrize("ages", [[-TICK * 9] * 4, [timedelta(days=900)] * 4])
def test_a_full_answer_without_an_article_of_its_window_is_bad_data(ages):
    answered = reply({"articles": [article(i, age) for i, age in enumerate(ages)]})
    assert gdelt.next_page(answered.request, answered) is None
    with pytest.raises(BadData):
        gdelt.parse(NEWS, answered)


@pytest.mark.usefixtures("answers_of_four")
def test_an_answer_that_comes_again_in_place_of_the_next_is_bad_data():
    (request,) = gdelt.build(NEWS)
    page = {"articles": [article(i, ticks * TICK) for i, ticks in enumerate((9, 8, 7, 6))]}
    following = gdelt.next_page(request, reply(page, request=request))
    with pytest.raises(BadData):
        gdelt.parse(NEWS, reply(page, request=following))


@pytest.mark.usefixtures("answers_of_four")
def test_there_is_no_answer_after_a_live_poll():
    answered = reply({"articles": [article(i, i * TICK) for i in range(4)]}, NEWEST)
    assert gdelt.next_page(answered.request, answered) is None
    assert len(gdelt.parse(NEWEST, answered).columns["ts"]) == 4


RATE = "Please limit requests to one every 5 seconds or contact us for larger queries."


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "wait"),
    [
        (429, RATE, {}, SlowDown, 60.0),
        (429, RATE, {"retry-after": "5"}, SlowDown, 60.0),
        (429, RATE, {"retry-after": "900"}, SlowDown, 900.0),
        (200, RATE, {}, SlowDown, 60.0),
        (200, "Your query was too short or too long.", {}, FixRequest, None),
        (200, "The specified phrase is too short.\n", {}, FixRequest, None),
        (200, "Your search contained a keyword that was too short.", {}, FixRequest, None),
        (200, "Queries containing OR'd terms must be surrounded by ().", {}, FixRequest, None),
        (200, "Parentheses may only be used around OR'd statements.", {}, FixRequest, None),
        (200, "STARTDATETIME must be within the last 3 months", {}, FixRequest, None),
        (200, "Invalid/Unsupported Country.", {}, FixRequest, None),
        (200, "<html><body>Your query was too short or too long.</body></html>", {}, FixRequest, None),
        (200, "<html><title>Bad gateway</title></html>", {}, TryAgain, None),
        (200, "upstream connect error", {}, BadData, None),
        (200, "", {}, TryAgain, None),
        (200, '{"articles": [ { "url": "https://exam', {}, TryAgain, None),
        (503, "<html></html>", {}, TryAgain, None),
        (404, "<html></html>", {}, TryAgain, None),
        (400, "no", {}, FixRequest, None),
    ],
)
def test_a_sentence_in_place_of_json_is_an_error_even_in_a_200(status, body, headers, kind, wait):
    error = gdelt.error_of(reply(body, status=status, headers=headers))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("gdelt", status, wait)
    assert "short" not in str(error)


def test_articles_that_speak_of_limits_are_no_error():
    page = {"articles": [article(0, TICK, title=RATE)]}
    assert gdelt.error_of(reply(page)) is None


@pytest.mark.parametrize(
    "body", ["", "[]", "7", '{"articles":{}}', '{"articles":7}', "[" * 100_000, b"\xff", b'{"\xff']
)
def test_a_page_that_is_no_page_is_bad_data(body):
    with pytest.raises(BadData) as bad:
        gdelt.parse(NEWS, reply(body))
    assert bad.value.rule == "unparsable_page"


def test_it_can_not_be_listed_because_anything_is_a_topic():
    assert gdelt.catalogue("rates") is None
    assert gdelt.listed(reply("{}")) == []


@given(st.lists(st.text("ABCXYZ019", min_size=1, max_size=6), min_size=1, max_size=4))
def test_a_topic_and_its_search_name_each_other(words):
    topic = ".".join(words)
    try:
        native = gdelt.native_symbol(topic)
    except FixRequest:
        assert max(map(len, words)) < 3
        return
    assert gdelt.instrument_of(native) == topic


@pytest.mark.parametrize("native", ["", "uk", '"uk"', "domain:x", "a b", "Rates", '"rates"', "(a OR b)", "btc-usd"])
def test_what_is_no_search_of_ours_has_no_topic(native):
    assert gdelt.instrument_of(native) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["url", "x"]), inner, max_size=2),
    max_leaves=8,
)


def texts_in(value):
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*map(texts_in, parts))
    return {value}


@given(st.data(), st.sampled_from([NEWS, NEWEST]), JSON, st.booleans())
@pytest.mark.usefixtures("answers_of_four")
def test_a_documented_page_with_any_part_replaced_gives_texts_of_its_own_rejects_or_bad_data(data, query, value, full):
    document = json.loads(payload("gdelt", "articles"))
    document["articles"] += [article(i, i * TICK) for i in range(4)] if full else []
    part, key = document, "articles"
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    body = json.dumps(document)
    answered = reply(body[: data.draw(st.just(len(body)) | st.integers(0, len(body)))], query)
    assert isinstance(gdelt.error_of(answered), TickfarmError | None)
    following = gdelt.next_page(answered.request, answered)
    assert following is None or following.params != answered.request.params
    try:
        parsed = gdelt.parse(query, answered)
    except BadData:
        return
    assert list(parsed.columns) == COLUMNS
    assert len({len(column) for column in parsed.columns.values()}) == 1
    sent = {text for text in texts_in(json.loads(body)) if isinstance(text, str)} | {None}
    for name in ("article_id", "title", "url", "source", "language"):
        assert set(parsed.columns[name]) <= sent
