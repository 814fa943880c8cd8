"""NewsAPI: searches by phrase, pages told apart by time, articles as they came, what each refusal means."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, TickfarmError, UnknownName
from ingest.market.symbols import is_instrument
from ingest.providers import newsapi
from ingest.providers.contract import Query
from ingest.wire import Answer
from tests.providers.payloads import T0, payload

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
WINDOW = Query("news", ("BITCOIN",), None, START, START + timedelta(hours=4))
POLL = Query("news", ("BITCOIN",), None, None, T0)
TOP = Query("news", ("HEADLINES.US.BUSINESS",), None, None, T0)
TEXTS = ("article_id", "title", "url", "source", "author", "summary")


def reply(body, query=WINDOW, *, status=200, headers=None, received=T0, request=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(request or newsapi.build(query)[0], status, headers or {}, body, T0, received)


def article(moment, **changes):
    name = f"https://example.com/{moment}"
    made = {"source": {"id": None, "name": "E"}, "title": "t", "url": name, "publishedAt": moment} | changes
    return {name: value for name, value in made.items() if value != "gone"}


def at(*clocks):
    return [article(f"2026-01-05T{clock}Z", url=f"https://example.com/{i}") for i, clock in enumerate(clocks)]


def page(articles, total=None):
    return {"status": "ok", "totalResults": len(articles) if total is None else total, "articles": articles}


def paged(monkeypatch, rows):
    monkeypatch.setattr(newsapi, "PAGE_ROWS", rows)


def test_a_window_is_one_search_of_a_phrase_newest_first_between_whole_seconds():
    (request,) = newsapi.build(WINDOW)
    assert request.path == "/everything"
    assert request.params == (
        ("q", '"bitcoin"'),
        ("sortBy", "publishedAt"),
        ("pageSize", "100"),
        ("from", "2026-01-05T09:00:00"),
        ("to", "2026-01-05T13:00:00"),
    )
    assert (request.instruments, request.weight) == (("BITCOIN",), 1)
    assert (request.start, request.end) == (WINDOW.start, WINDOW.end)


def test_times_are_asked_in_utc_and_those_between_seconds_as_the_seconds_around_them():
    start = datetime.fromisoformat("2026-01-05T11:00:00.250+02:00")
    (request,) = newsapi.build(replace(WINDOW, start=start, end=start + timedelta(seconds=1)))
    params = dict(request.params)
    assert (params["from"], params["to"]) == ("2026-01-05T09:00:00", "2026-01-05T09:00:02")


def test_a_live_poll_asks_for_the_newest_hundred_and_names_no_time():
    (request,) = newsapi.build(POLL)
    assert request.params == (("q", '"bitcoin"'), ("sortBy", "publishedAt"), ("pageSize", "100"))
    assert request.start is request.end is None


def test_headlines_are_asked_by_country_and_category():
    (request,) = newsapi.build(TOP)
    assert request.path == "/top-headlines"
    assert request.params == (("country", "us"), ("category", "business"), ("pageSize", "100"))
    (request,) = newsapi.build(replace(TOP, instruments=("HEADLINES.US",)))
    assert request.params == (("country", "us"), ("pageSize", "100"))


def test_each_instrument_is_a_search_of_its_own():
    requests = newsapi.build(replace(POLL, instruments=("BITCOIN", "INTEREST.RATES", "HEADLINES.US", "BITCOIN")))
    assert [request.instruments for request in requests] == [("BITCOIN",), ("INTEREST.RATES",), ("HEADLINES.US",)]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (replace(WINDOW, dataset="posts"), UnknownName),
        (replace(WINDOW, end=None), FixRequest),
        (replace(WINDOW, instruments=("BTC-USD",)), FixRequest),
        (replace(WINDOW, instruments=("HEADLINES.US",)), FixRequest),
        (replace(POLL, instruments=("HEADLINES.US.POLITICS",)), UnknownName),
        (replace(POLL, instruments=("bitcoin",)), FixRequest),
    ],
)
def test_what_newsapi_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        newsapi.build(query)


@pytest.mark.parametrize(
    ("instrument", "native"),
    [
        ("BITCOIN", '"bitcoin"'),
        ("INTEREST.RATES", '"interest rates"'),
        ("NOT", '"not"'),
        ("S.P.500", '"s p 500"'),
        ("HEADLINES", '"headlines"'),
        ("HEADLINES.TODAY", '"headlines today"'),
        ("HEADLINES.US", "country=us"),
        ("HEADLINES.US.SPORTS", "country=us&category=sports"),
    ],
)
def test_a_name_is_a_phrase_unless_it_is_the_headlines_of_a_country(instrument, native):
    assert newsapi.native_symbol(instrument) == native
    assert newsapi.instrument_of(native) == instrument


NAMES = st.from_regex(r"\A[A-Z0-9]{1,9}(\.[A-Z0-9]{1,9}){0,3}\Z") | st.builds(
    "HEADLINES.{}.{}".format,
    st.sampled_from(["US", "GB"]),
    st.sampled_from([name.upper() for name in newsapi.CATEGORIES]),
)


@given(NAMES)
def test_every_single_name_comes_back_from_what_it_is_asked_with(name):
    assert is_instrument(name)
    try:
        native = newsapi.native_symbol(name)
    except UnknownName:
        assert name.startswith("HEADLINES.")
        return
    assert newsapi.instrument_of(native) == name


@pytest.mark.parametrize(
    "native",
    ["", "bitcoin", '"headlines us"', '"Bitcoin"', '"a  b"', "country=usa", "country=us&category=politics", '"' * 3],
)
def test_what_none_of_our_names_asks_for_has_no_instrument(native):
    assert newsapi.instrument_of(native) is None


def test_there_is_no_catalogue():
    assert newsapi.catalogue("apple") is None
    assert newsapi.listed(reply(payload("newsapi", "none"))) == []


def test_the_documented_articles_are_read_as_they_came_and_removed_ones_are_reported():
    parsed = newsapi.parse(POLL, reply(payload("newsapi", "everything"), POLL))
    assert parsed.time_unit == "us"
    assert parsed.columns == {
        "instrument": ["BITCOIN"] * 3,
        "ts": [1767616200000000, 1767616199123456, 1767603601000000],
        "article_id": ["https://example.com/a?x=1&y=2", "https://www.theverge.com/b", "https://stub.example/c"],
        "title": ["Headline - Example Wire", "“Bitcoin” & rates", "Older"],
        "url": ["https://example.com/a?x=1&y=2", "https://www.theverge.com/b", "https://stub.example/c"],
        "source": ["Example Wire", "The Verge", "Stub.com"],
        "author": [None, "Some Body, Any Body", ""],
        "summary": [None, "What happened", ""],
        "instruments": ["", "", ""],
    }
    assert [(r.rule, r.instrument) for r in parsed.rejects] == [("missing_field", "BITCOIN")]
    assert "taken down" in parsed.rejects[0].reason


def test_headlines_are_read_like_any_other_article_and_have_one_page():
    answer = reply(payload("newsapi", "top_headlines"), TOP)
    columns = newsapi.parse(TOP, answer).columns
    assert (columns["instrument"], columns["article_id"]) == (["HEADLINES.US.BUSINESS"], ["https://www.cnn.com/top"])
    assert newsapi.next_page(answer.request, answer) is None


def test_a_live_poll_has_one_page_however_much_there_is():
    answer = reply(page(at("12:00:00"), total=5000), POLL)
    assert newsapi.next_page(answer.request, answer) is None
    assert len(newsapi.parse(POLL, answer).columns["ts"]) == 1


def test_the_next_page_is_the_search_up_to_the_oldest_second_which_is_its_alone(monkeypatch):
    paged(monkeypatch, 3)
    answer = reply(page(at("12:00:00", "11:00:01", "11:00:00"), total=9))
    following = newsapi.next_page(answer.request, answer)
    assert dict(following.params) == dict(answer.request.params) | {"to": "2026-01-05T11:00:00"}
    assert (following.start, following.end) == (WINDOW.start, WINDOW.end)
    assert newsapi.parse(WINDOW, answer).columns["article_id"] == ["https://example.com/0", "https://example.com/1"]


def test_an_oldest_article_between_seconds_leaves_the_second_after_it_to_the_next_page(monkeypatch):
    paged(monkeypatch, 3)
    answer = reply(page(at("12:00:00", "11:00:01", "11:00:00.500"), total=9))
    assert dict(newsapi.next_page(answer.request, answer).params)["to"] == "2026-01-05T11:00:01"
    assert newsapi.parse(WINDOW, answer).columns["article_id"] == ["https://example.com/0"]


def test_the_last_page_keeps_all_it_has(monkeypatch):
    paged(monkeypatch, 3)
    answer = reply(page(at("12:00:00", "11:00:01", "11:00:00")))
    assert newsapi.next_page(answer.request, answer) is None
    assert len(newsapi.parse(WINDOW, answer).columns["ts"]) == 3


def test_a_page_of_a_single_second_is_followed_by_number_and_keeps_its_articles(monkeypatch):
    paged(monkeypatch, 2)
    (first,) = newsapi.build(WINDOW)
    first = replace(first, params=(*first.params[:-1], ("to", "2026-01-05T11:00:00")))
    answer = reply(page(at("11:00:00", "11:00:00"), total=4), request=first)
    second = newsapi.next_page(first, answer)
    assert second.params == (*first.params, ("page", "2"))
    assert len(newsapi.parse(WINDOW, answer).columns["ts"]) == 2
    answer = reply(page(at("11:00:00", "10:00:00"), total=5), request=second)
    third = newsapi.next_page(second, answer)
    assert dict(third.params) == dict(first.params) | {"to": "2026-01-05T10:00:00"}
    assert newsapi.parse(WINDOW, answer).columns["article_id"] == ["https://example.com/0"]


def test_a_page_shorter_than_its_count_says_is_followed_and_one_that_stands_still_ends_the_search():
    answer = reply(page(at("12:00:00", "11:00:00"), total=3))
    following = newsapi.next_page(answer.request, answer)
    assert dict(following.params)["to"] == "2026-01-05T11:00:00"
    again = reply(page(at("11:00:00"), total=2), request=following)
    assert newsapi.next_page(following, again) is None
    assert len(newsapi.parse(WINDOW, again).columns["ts"]) == 1


def test_a_page_beyond_what_the_plan_serves_ends_the_search_and_is_reported():
    (first,) = newsapi.build(WINDOW)
    second = replace(first, params=(*first.params, ("page", "2")))
    answer = reply(payload("newsapi", "maximum_results"), status=426, request=second)
    assert newsapi.error_of(answer) is None
    assert newsapi.next_page(second, answer) is None
    parsed = newsapi.parse(WINDOW, answer)
    assert parsed.columns["ts"] == []
    assert [(r.rule, r.instrument) for r in parsed.rejects] == [("missing_rows", "BITCOIN")]
    assert type(newsapi.error_of(reply(payload("newsapi", "maximum_results"), status=426))) is FixRequest


def test_only_what_came_because_of_whole_seconds_is_cut_and_all_else_stays():
    start = START + timedelta(milliseconds=500)
    query = replace(WINDOW, start=start, end=start + timedelta(seconds=10))
    clocks = ["09:00:12", "09:00:11", "09:00:10.500", "09:00:10.499", "09:00:00.500", "09:00:00.499", "08:59:59"]
    kept = newsapi.parse(query, reply(page(at(*clocks)), query)).columns["article_id"]
    assert kept == [f"https://example.com/{i}" for i in (0, 3, 4, 6)]


def test_an_article_at_the_windows_end_is_the_next_windows():
    assert newsapi.parse(WINDOW, reply(page(at("13:00:00", "12:59:59", "09:00:00")))).columns["article_id"] == [
        "https://example.com/1",
        "https://example.com/2",
    ]


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        "article",
        [],
        {},
        article("gone", publishedAt="gone"),
        article("x", publishedAt=None),
        article("x", publishedAt="2026-01-05 12:30:00"),
        article("x", publishedAt="2026-13-05T12:30:00Z"),
        article("x", publishedAt="2026-01-05T12:30:00+01:00"),
        article("2026-01-05T12:30:00Z", url=["u"]),
        article("2026-01-05T12:30:00Z", title={}),
        article("2026-01-05T12:30:00Z", source=[1]),
        article("2026-01-05T12:30:00Z", source={"name": {}}),
        article("2026-01-05T12:30:00Z", author=True),
    ],
)
def test_an_article_of_wrong_shape_is_rejected_and_the_others_are_kept(bad):
    first, last = at("12:00:00", "11:00:00")
    parsed = newsapi.parse(WINDOW, reply(page([first, bad, last])))
    assert parsed.columns["article_id"] == ["https://example.com/0", "https://example.com/1"]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BITCOIN", "wrong_shape")]


def test_a_null_title_or_url_is_left_to_the_quality_rules():
    columns = newsapi.parse(WINDOW, reply(page([article("2026-01-05T12:30:00Z", title=None, url=None)]))).columns
    assert (columns["title"], columns["article_id"], columns["url"]) == ([None], [None], [None])


def test_no_articles_are_no_rows_and_no_error():
    answer = reply(payload("newsapi", "none"))
    assert newsapi.error_of(answer) is None
    assert newsapi.parse(WINDOW, answer).columns["ts"] == []
    assert newsapi.next_page(answer.request, answer) is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"7", b"{}", b"\xff", b"[" * 100_000, b'{"articles":[],"totalResults":0}'),
        *(b'{"status":"error"}', b'{"status":"ok","totalResults":1}', b'{"status":"ok","articles":[]}'),
        *(b'{"status":"ok","totalResults":-1,"articles":[]}', b'{"status":"ok","totalResults":5,"articles":[]}'),
        *(b'{"status":"ok","totalResults":0,"articles":{}}', b'{"status":"maybe","totalResults":0,"articles":[]}'),
    ],
)
def test_a_page_that_is_no_page_or_says_not_ok_is_bad_data_and_never_an_empty_list(body):
    answer = reply(body)
    with pytest.raises(BadData) as bad:
        newsapi.parse(WINDOW, answer)
    assert bad.value.rule == "unparsable_page"
    assert newsapi.next_page(answer.request, answer) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["name", "url"]), inner, max_size=4),
    max_leaves=10,
)


@given(st.data(), st.sampled_from(["everything", "top_headlines", "none", "rate_limited", "too_old"]), JSON)
def test_a_documented_page_with_any_part_replaced_gives_rows_rejects_or_bad_data(data, name, value):
    whole = {"page": json.loads(payload("newsapi", name))}
    part, key = whole, "page"
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    answer = reply(whole["page"])
    assert isinstance(newsapi.error_of(answer), TickfarmError | None)
    following = newsapi.next_page(answer.request, answer)
    assert following is None or following.params != answer.request.params
    try:
        parsed = newsapi.parse(WINDOW, answer)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
    said = texts_of(json.loads(answer.body, parse_int=str, parse_float=str, parse_constant=str))
    for column in TEXTS:
        assert set(parsed.columns[column]) <= said | {None}


def texts_of(value):
    """Return every text that stands in a document, numbers as they are written."""
    if isinstance(value, dict):
        return set().union(*map(texts_of, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(texts_of, value)) if value else set()
    return {value} if isinstance(value, str) else set()


@given(st.integers(0, 1600))
def test_a_page_cut_anywhere_is_bad_data_at_the_latest_when_it_is_parsed(length):
    body = payload("newsapi", "everything").rstrip()
    cut = reply(body[: min(length, len(body) - 1)])
    assert isinstance(newsapi.error_of(cut), TickfarmError | None)
    assert newsapi.next_page(cut.request, cut) is None
    with pytest.raises(BadData):
        newsapi.parse(WINDOW, cut)
