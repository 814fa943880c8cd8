"""IEX Cloud: what an archive of its v1 is asked, its answers to the digit, its errors in plain text, its retirement."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.pipeline.terms import refuse_unusable
from ingest.providers import iex
from ingest.providers.contract import Query
from ingest.settings import Settings
from tests.providers.payloads import T0, answer, payload

DAYS = Query("bars", ("AAPL",), "1d")
MINUTES = replace(DAYS, interval="1m")
QUOTES = Query("quotes", ("AAPL", "FB"))
TRADES = Query("trades", ("AAPL", "FB"))
NEWS = Query("news", ("AAPL",))
BOOKS = Query("books", ("AAPL",))
DOCUMENTED = {
    "chart_days": DAYS,
    "chart_minutes": MINUTES,
    "tops": QUOTES,
    "quote": QUOTES,
    "batch": QUOTES,
    "trades": TRADES,
    "news": NEWS,
    "book": BOOKS,
}


def window(query, start, end):
    return replace(query, start=datetime.fromisoformat(f"{start}+00:00"), end=datetime.fromisoformat(f"{end}+00:00"))


def reply(body, query, *, status=200, headers=None, received=T0):
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    said = answer(body, status=status, headers=headers)
    return replace(said, request=iex.build(query)[0], received_at=received)


def parse(name, query):
    return iex.parse(query, reply(payload("iex", name) if isinstance(name, str) else name, query))


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        (DAYS, ["/stock/AAPL/chart/5d"]),
        (window(DAYS, "2020-01-01T00:00", "2021-01-01T00:00"), ["/stock/AAPL/chart/max"]),
        (
            window(DAYS, "2022-09-02T00:00", "2022-09-07T00:00"),
            ["/stock/AAPL/chart/date/20220902", "/stock/AAPL/chart/date/20220905", "/stock/AAPL/chart/date/20220906"],
        ),
        (MINUTES, ["/stock/AAPL/intraday-prices"]),
        (
            window(MINUTES, "2022-11-04T03:59", "2022-11-05T04:00"),
            ["/stock/AAPL/chart/date/20221103", "/stock/AAPL/chart/date/20221104"],
        ),
        (window(MINUTES, "2022-11-05T12:00", "2022-11-05T13:00"), ["/stock/AAPL/chart/date/20221105"]),
        (QUOTES, ["/tops"]),
        (TRADES, ["/deep/trades"]),
        (NEWS, ["/stock/AAPL/news/last/50"]),
        (Query("news", ("BRK.B", "IBM", "BRK.B")), ["/stock/BRK.B/news/last/50", "/stock/IBM/news/last/50"]),
    ],
)
def test_each_dataset_is_asked_for_at_its_path(query, paths):
    requests = iex.build(query)
    assert [request.path for request in requests] == paths
    assert {(request.start, request.end) for request in requests} == {(query.start, query.end)}
    assert all(iex.next_page(request, answer("[]")) is None for request in requests)


def test_quotes_and_trades_go_a_hundred_symbols_to_a_request():
    names = tuple(f"A{i}" for i in range(201))
    requests = iex.build(Query("quotes", names))
    assert [len(request.instruments) for request in requests] == [100, 100, 1]
    assert dict(requests[2].params) == {"symbols": "A200"}
    assert dict(iex.build(TRADES)[0].params) == {"symbols": "AAPL,FB", "last": "500"}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("posts", ("AAPL",)), UnknownName),
        (Query("bars", ("AAPL",), "5m"), UnknownName),
        (Query("bars", ("EUR-USD",), "1d"), FixRequest),
        (replace(DAYS, start=T0), FixRequest),
        (replace(NEWS, start=T0, end=T0 + timedelta(days=1)), FixRequest),
        (replace(TRADES, start=T0, end=T0 + timedelta(days=1)), FixRequest),
    ],
)
def test_what_it_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        iex.build(query)


def test_days_are_split_adjusted_sessions_to_the_digit():
    parsed = parse("chart_days", DAYS)
    assert (parsed.time_unit, parsed.rejects, iex.facts.adjustment) == ("date", (), "splits")
    assert parsed.columns == {
        "instrument": ["AAPL", "AAPL"],
        "ts": ["2022-09-06", "2022-09-07"],
        "open": ["156.47", "154.825"],
        "high": ["157.09", "156.67"],
        "low": ["153.6900", "153.61"],
        "close": ["154.53", "155.96"],
        "volume": ["73714843", "8.7449574e+07"],
        "adjusted_close": ["153.9011223344556677", None],
    }


def test_minutes_are_new_yorks_and_one_without_a_trade_is_no_bar():
    parsed = parse("chart_minutes", MINUTES)
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    assert parsed.columns == {
        "instrument": ["AAPL", "AAPL"],
        "ts": [
            int(datetime(2022, 11, 4, 19, 59, tzinfo=UTC).timestamp()),
            int(datetime(2022, 11, 7, 14, 31, tzinfo=UTC).timestamp()),
        ],
        "open": ["138.25", "137.11"],
        "high": ["138.4", "137.2"],
        "low": ["138.25", "137.00"],
        "close": ["138.38", "137.2"],
        "volume": ["5120", "900"],
        "trade_count": ["41", "9"],
    }


def test_a_null_price_in_a_minute_that_had_trades_is_left_to_the_quality_rules():
    page = json.loads(payload("iex", "chart_minutes"))
    page[1]["numberOfTrades"] = 3
    assert parse(page, MINUTES).columns["close"] == ["138.38", None, "137.2"]


def test_what_lies_beyond_the_window_is_cut():
    assert parse("chart_days", window(DAYS, "2022-09-07T00:00", "2022-09-09T00:00")).columns["ts"] == ["2022-09-07"]
    minutes = window(MINUTES, "2022-11-04T19:59", "2022-11-07T14:31")
    assert parse("chart_minutes", minutes).columns["volume"] == ["5120"]
    later = window(MINUTES, "2022-11-04T19:59:01", "2022-11-07T14:31:01")
    assert parse("chart_minutes", later).columns["volume"] == ["900"]


def test_a_zero_where_there_is_no_bid_is_none():
    parsed = parse("tops", QUOTES)
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {
        "instrument": ["AAPL", "FB"],
        "ts": [1659732403127, 1480446923942],
        "bid": [None, "120.8"],
        "bid_size": [None, "200"],
        "ask": ["165.50", "122.5"],
        "ask_size": ["100", "100"],
        "last": ["165.28", "121.41"],
    }


def test_archived_quotes_of_the_market_are_read_one_and_many_at_a_time():
    one = parse("quote", QUOTES)
    assert (one.columns["ts"], one.columns["last"], one.columns["bid"]) == ([1662494400000], ["156.9"], [None])
    many = parse("batch", QUOTES)
    assert (many.columns["instrument"], many.columns["ask_size"]) == (["AAPL"], ["8080"])
    assert [one.rule for one in many.rejects] == ["wrong_shape"]


def test_trades_of_many_symbols_find_their_instruments_and_nobody_is_their_taker():
    parsed = parse("trades", TRADES)
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {
        "instrument": ["AAPL", "AAPL"],
        "ts": [1494619192003, 1494619191999],
        "trade_id": ["517341294", "517341200"],
        "price": ["156.1", "156.10500"],
        "size": ["100", "7"],
    }
    other = parse({"MSFT": [{}]}, TRADES)
    assert [one.rule for one in other.rejects] == ["unknown_symbol"]


def test_articles_have_their_own_id_or_their_address_and_name_what_our_grammar_spells():
    parsed = parse("news", NEWS)
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {
        "instrument": ["AAPL", "AAPL"],
        "ts": [1662480000000, 1545215400000],
        "article_id": ["abc", "https://cloud.iexapis.com/v1/news/article/8348646549980454"],
        "title": ["Apple “events”: what to expect", "Voice Search Technology"],
        "url": [
            "https://cloud.iexapis.com/v1/news/article/abc",
            "https://cloud.iexapis.com/v1/news/article/8348646549980454",
        ],
        "source": ["Example Wire", "Benzinga"],
        "summary": ["A summary.", ""],
        "language": ["en", "en"],
        "instruments": ["AAPL,BRK.B", ""],
    }


@pytest.mark.parametrize(
    ("name", "query", "spoil"),
    [
        ("chart_days", DAYS, {"date": "2022-13-06"}),
        ("chart_days", DAYS, {"close": []}),
        ("chart_minutes", MINUTES, {"minute": "25:00"}),
        ("chart_minutes", MINUTES, {"minute": None}),
        ("chart_minutes", MINUTES, {"volume": True}),
        ("tops", QUOTES, {"lastUpdated": None}),
        ("tops", QUOTES, {"bidPrice": {}}),
        ("news", NEWS, {"url": None}),
        ("news", NEWS, {"datetime": "yesterday"}),
    ],
)
def test_a_row_of_wrong_shape_is_rejected_and_the_others_are_kept(name, query, spoil):
    page = json.loads(payload("iex", name))
    whole = len(parse(page, query).columns["ts"])
    page[0] |= spoil
    parsed = parse(page, query)
    assert [one.rule for one in parsed.rejects] == ["wrong_shape"]
    assert len(parsed.columns["ts"]) == whole - 1


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_answer_is_no_error(name):
    assert iex.error_of(reply(payload("iex", name), DOCUMENTED[name])) is None


QUOTA = "You have exceeded your allotted message quota. Please enable pay-as-you-go to regain access"


@pytest.mark.parametrize(
    ("status", "text", "kind", "wait"),
    [
        (404, "Unknown symbol", UnknownName, None),
        (200, "Unknown symbol", UnknownName, None),
        (402, QUOTA, SlowDown, 27 * 86_400.0 + 8 * 3600),
        (402, "The requested endpoint is not available to free accounts.", FixRequest, None),
        (403, "The API key provided is not valid. Secret sk_abc", KeyRefused, None),
        (401, "An API key is required to access the requested endpoint.", KeyRefused, None),
        (403, "Forbidden", FixRequest, None),
        (410, "Gone", FixRequest, None),
        (400, "Invalid values were supplied for the API request", FixRequest, None),
        (404, "Not Found", FixRequest, None),
        (429, "Too many requests", SlowDown, 2.0),
        (451, "Unable to complete your request at this time", TryAgain, None),
        (500, "Internal Server Error", TryAgain, None),
        (200, "", TryAgain, None),
        (200, "[{", TryAgain, None),
        (200, "Something else", BadData, None),
    ],
)
def test_status_and_plain_text_say_what_to_do_and_no_word_is_repeated(status, text, kind, wait):
    headers = {"retry-after": "2"} if status == 429 else {}
    said = reply(text, DAYS, status=status, headers=headers, received=datetime(2024, 2, 2, 16, tzinfo=UTC))
    error = iex.error_of(said)
    assert type(error) is kind
    assert (error.provider, error.retry_after_s) == ("iex", wait)
    assert "sk_abc" not in f"{error} {vars(error)}"


def test_an_unknown_symbol_among_many_is_a_list_to_be_halved_and_a_lone_one_is_named():
    assert type(iex.error_of(reply("Unknown symbol", TRADES, status=404))) is FixRequest
    error = iex.error_of(reply("Unknown symbol", DAYS, status=404))
    assert (error.kind, error.given, error.instrument) == ("instrument", "AAPL", "AAPL")


def test_it_is_retired_since_a_date_and_asked_only_at_a_base_url_that_was_set(monkeypatch):
    assert iex.facts.lifecycle == "retired"
    assert iex.facts.lifecycle_note.startswith("2024-08-31")
    for name in ("TICKFARM_SANDBOX_URL", "TICKFARM_PROVIDERS__IEX__BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(FixRequest, match=r"retired since 2024-08-31.*polygon.*TICKFARM_PROVIDERS__IEX__BASE_URL"):
        refuse_unusable(Settings(), iex.facts)
    monkeypatch.setenv("TICKFARM_PROVIDERS__IEX__BASE_URL", "https://archive.example/v1")
    refuse_unusable(Settings(), iex.facts)


def test_the_catalogue_lists_shares_and_leaves_out_what_our_grammar_can_not_spell():
    assert iex.catalogue("any").path == "/ref-data/symbols"
    assert iex.listed(reply(payload("iex", "symbols"), DAYS)) == ["A", "BRK.B"]
    with pytest.raises(BadData):
        iex.listed(reply("{}", DAYS))


@given(st.text("AZ09.+-", min_size=1, max_size=8))
def test_a_symbol_that_has_a_name_is_spelled_as_it_is(native):
    name = iex.instrument_of(native)
    assert name is None or iex.native_symbol(name) == native
    if set(native) & set("+-"):
        assert name is None


@pytest.mark.parametrize("query", DOCUMENTED.values())
@pytest.mark.parametrize("body", ["", "7", "null", '"row"', "[" * 100_000, b"\xff"])
def test_a_page_that_is_no_page_is_bad_data(body, query):
    with pytest.raises(BadData) as bad:
        iex.parse(query, reply(body, query))
    assert bad.value.rule == "unparsable_page"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abcxy"), inner, max_size=4),
    max_leaves=8,
)


def texts_in(document):
    if isinstance(document, dict):
        return set().union(*map(texts_in, document.values()), document)
    if isinstance(document, list):
        return set().union(*map(texts_in, document))
    return {document} if isinstance(document, str) else set()


@given(st.data(), st.sampled_from(sorted(DOCUMENTED)), st.sampled_from(list(DOCUMENTED.values())), JSON)
def test_a_documented_page_with_any_part_replaced_gives_rows_that_stood_in_it_rejects_or_bad_data(
    data, name, query, value
):
    document = {"page": json.loads(payload("iex", name))}
    part, key = document, "page"
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    body = json.dumps(document["page"], ensure_ascii=False)
    said = reply(body.encode("utf-8", "surrogatepass"), query)
    assert isinstance(iex.error_of(said), TickfarmError | None)
    try:
        parsed = iex.parse(query, said)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
    texts = texts_in(json.loads(body, parse_float=str, parse_int=str, parse_constant=str))
    for column in parsed.columns.keys() - {"instrument", "ts", "instruments"}:
        assert {one for one in parsed.columns[column] if one is not None} <= texts


@given(st.data(), st.sampled_from(sorted(DOCUMENTED)))
def test_a_page_cut_anywhere_is_an_error_whether_its_end_shows_it_or_not(data, name):
    body = payload("iex", name).rstrip()
    said = reply(body[: data.draw(st.integers(0, len(body) - 1))], DOCUMENTED[name])
    assert isinstance(iex.error_of(said), TryAgain | None)
    with pytest.raises(BadData):
        iex.parse(DOCUMENTED[name], said)


def test_a_book_keeps_its_levels_best_first_and_is_dated_by_the_newest_of_them_in_milliseconds():
    found = parse("book", BOOKS)
    assert (found.time_unit, found.rejects) == ("ms", ())
    assert found.columns == {
        "instrument": ["AAPL"],
        "ts": [1494538496261],
        "bid_prices": ["63.09,63.0900000000000001e0"],
        "bid_sizes": ["300,1e2"],
        "ask_prices": ["63.92,63.97"],
        "ask_sizes": ["300,300"],
    }
    [request, _] = iex.build(replace(BOOKS, instruments=("AAPL", "FB")))
    assert (request.path, request.params, request.instruments) == ("/deep/book", (("symbols", "AAPL"),), ("AAPL",))


def test_a_book_without_levels_has_no_time_of_its_own_and_a_symbol_left_out_no_row():
    assert parse({"AAPL": {"bids": [], "asks": []}}, BOOKS).columns["ts"] == [None]
    assert parse({}, BOOKS).columns["ts"] == []


@pytest.mark.parametrize(
    "level", [{"price": 1, "size": 2}, {"size": 2, "timestamp": 3}, {"price": 1, "timestamp": 3}, 7]
)
def test_a_book_with_a_level_that_lacks_something_is_a_finding(level):
    found = parse({"AAPL": {"bids": [level], "asks": []}}, BOOKS)
    assert ([one.rule for one in found.rejects], found.columns["ts"]) == (["wrong_shape"], [])
