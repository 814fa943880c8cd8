"""Polygon: requests by its names and units, pages followed, errors told apart, names that go there and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import providers
from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.market.symbols import is_instrument
from ingest.providers import polygon
from ingest.providers.contract import Query
from ingest.providers.polygon_parts import questions, tickers
from tests.providers.payloads import payload
from tests.providers.polygon_replies import (
    ACTIONS,
    BARS,
    BOOKS,
    COINS,
    DAY,
    DOCUMENTED,
    FACTS,
    INTRADAY,
    MINUTE,
    MONEY,
    NEWS,
    QUOTES,
    START,
    TRADES,
    reply,
)


def test_daily_bars_are_asked_for_raw_by_session_dates_both_included():
    (request,) = polygon.build(BARS)
    assert request.path == "/v2/aggs/ticker/AAPL/range/1/day/2020-01-02/2020-01-03"
    assert request.params == (("adjusted", "false"), ("sort", "asc"), ("limit", "50000"))
    assert (request.instruments, request.start, request.end) == (("AAPL",), BARS.start, BARS.end)
    assert polygon.facts.adjustment == "none"


def test_minute_bars_are_asked_for_in_milliseconds_from_the_first_bars_start_to_the_last_ones_end():
    (request,) = polygon.build(INTRADAY)
    first, last = START + 5 * MINUTE, START + 35 * MINUTE
    assert request.path.split("/range/")[1] == f"5/minute/{int(first.timestamp())}000/{int(last.timestamp()) - 1}999"
    (pair,) = polygon.build(Query("bars", ("BTC-USD",), "1h", START, START + 60 * MINUTE))
    assert pair.path == "/v2/aggs/ticker/X:BTCUSD/range/1/hour/1577923200000/1577926799999"
    (index,) = polygon.build(Query("bars", ("SPX.INDEX",), "1d", START, START + DAY))
    assert index.path.startswith("/v2/aggs/ticker/I:SPX/")
    assert "adjusted" not in dict(index.params)


@pytest.mark.parametrize(("interval", "seconds"), [("1d", 7200), ("1h", 60)])
def test_a_window_in_which_no_bar_opens_has_none_though_the_next_one_is_asked_for(interval, seconds):
    start = START + timedelta(seconds=30)
    query = Query("bars", ("AAPL",), interval, start, start + timedelta(seconds=seconds))
    rows = [{"t": 1577941200000, "o": 1, "h": 1, "l": 1, "c": 1}]
    assert polygon.parse(query, reply({"status": "OK", "results": rows}, query)).columns["ts"] == []


def test_daily_bars_of_more_tickers_than_days_are_asked_for_by_whole_markets():
    names = ("AAPL", "BRK.B", "KIM.PR.L", "EUR-USD", "SPX.INDEX")
    friday = datetime(2020, 1, 3, tzinfo=UTC)
    requests = polygon.build(Query("bars", names, "1d", friday, friday + 3 * DAY))
    assert [(r.path, r.instruments) for r in requests] == [
        ("/v2/aggs/grouped/locale/us/market/stocks/2020-01-03", ("AAPL", "BRK.B", "KIM.PR.L")),
        ("/v2/aggs/ticker/C:EURUSD/range/1/day/2020-01-03/2020-01-05", ("EUR-USD",)),
        ("/v2/aggs/ticker/I:SPX/range/1/day/2020-01-03/2020-01-05", ("SPX.INDEX",)),
    ]
    assert (requests[0].start, requests[0].end) == (friday, friday + DAY)
    saturday = polygon.build(Query("bars", names[:3], "1d", friday + DAY, friday + 2 * DAY))
    assert [r.path.split("/")[3] for r in saturday] == ["ticker"] * 3


def test_a_poll_of_whole_markets_asks_for_days_that_are_over():
    monday = datetime(2020, 1, 6, 21, tzinfo=UTC)
    requests = polygon.build(Query("bars", tuple(f"A{i}" for i in range(9)), "1d", None, monday))
    assert [r.path.rpartition("/")[2] for r in requests] == ["2020-01-02", "2020-01-03"]
    (few,) = polygon.build(Query("bars", ("AAPL",), "1d", None, monday))
    assert few.path.endswith("/2019-12-28/2020-01-06")


def test_trades_quotes_books_news_and_facts_are_asked_for_by_their_own_names_and_units():
    (trades,) = polygon.build(TRADES)
    assert trades.params[:2] == (("timestamp.gte", "1577923200000000000"), ("timestamp.lt", "1577923260000000000"))
    assert trades.params[2:] == (("order", "asc"), ("sort", "timestamp"), ("limit", "50000"))
    paths = [polygon.build(query)[0].path for query in (COINS, QUOTES, MONEY, BOOKS)]
    assert paths == [
        "/v3/trades/X:BTC-USD",
        "/v2/last/nbbo/AAPL",
        "/v3/quotes/C:EUR-USD",
        "/v2/snapshot/locale/global/markets/crypto/tickers/X:BTCUSD/book",
    ]
    (news,) = polygon.build(NEWS)
    assert dict(news.params)["published_utc.gte"] == "2020-01-02T00:00:00Z"
    facts = polygon.build(replace(FACTS, instruments=("TREASURY.10Y", "INFLATION.CPI", "TREASURY.1Y")))
    assert [(r.path, r.instruments) for r in facts] == [
        ("/fed/v1/treasury-yields", ("TREASURY.10Y", "TREASURY.1Y")),
        ("/fed/v1/inflation", ("INFLATION.CPI",)),
    ]
    assert [r.path for r in polygon.build(ACTIONS)] == ["/v3/reference/splits", "/v3/reference/dividends"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("posts", ("AAPL",)), UnknownName),
        (Query("bars", ("AAPL",), "2h", START, START + DAY), UnknownName),
        (Query("bars", ("AAPL",), "1d"), FixRequest),
        (Query("bars", ("TREASURY.10Y",), "1d", START, START + DAY), FixRequest),
        (Query("bars", ("aapl",), "1d", START, START + DAY), FixRequest),
        (Query("observations", ("AAPL",), None, START, START + DAY), UnknownName),
        (Query("trades", ("EUR-USD",)), FixRequest),
        (Query("trades", ("AAPL",), None, START), FixRequest),
        (Query("quotes", ("BTC-USD",)), FixRequest),
        (Query("quotes", ("AAPL",), None, START, START + DAY), FixRequest),
        (Query("books", ("AAPL",)), FixRequest),
        (Query("actions", ("EUR-USD",), None, START, START + DAY), FixRequest),
    ],
)
def test_what_polygon_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        polygon.build(query)


def test_an_empty_answer_has_no_results_and_is_no_error():
    empty = reply("aggregates_empty", replace(BARS, instruments=("NONE",)))
    assert polygon.error_of(empty) is None
    assert polygon.next_page(empty.request, empty) is None
    assert polygon.parse(BARS, empty).columns["ts"] == []


def test_the_next_page_is_asked_for_raw_again_at_our_own_address():
    first = reply("aggregates", BARS)
    second = polygon.next_page(first.request, first)
    assert second.path == "/v2/aggs/ticker/AAPL/range/1/day/1578114000000/2020-01-10"
    assert second.params == (("cursor", "bGltaXQ9MiZzb3J0PWFzYw"), ("adjusted", "false"))
    assert (second.instruments, second.start, second.end) == (("AAPL",), BARS.start, BARS.end)


@pytest.mark.parametrize("key", ["apiKey=secret&", ""])
def test_a_key_in_the_next_address_is_left_out(key):
    page = {"status": "OK", "results": [], "next_url": f"https://api.polygon.io/v3/trades/AAPL?{key}cursor=abc"}
    first = reply(page, TRADES)
    assert polygon.next_page(first.request, first).params == (("cursor", "abc"),)


@pytest.mark.parametrize(
    "address", ["https://[", "/v3/trades/AAPL?cursor=1", "https://api.massive.com", "https://a b/c", "itself"]
)
def test_a_next_address_that_leads_nowhere_ends_the_paging_and_is_bad_data(address):
    itself = f"https://api.massive.com{polygon.build(TRADES)[0].path}?" + "&".join(
        "=".join(p) for p in polygon.build(TRADES)[0].params
    )
    page = {"status": "OK", "results": [], "next_url": itself if address == "itself" else address}
    first = reply(page, TRADES)
    assert polygon.next_page(first.request, first) is None
    with pytest.raises(BadData):
        polygon.parse(TRADES, first)


def test_the_newest_rows_are_one_page():
    first = reply("trades", Query("trades", ("AAPL",)))
    assert polygon.next_page(first.request, first) is None


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait"),
    [
        (401, "unknown_key", {}, KeyRefused, None),
        (429, "too_many", {}, SlowDown, 18.0),
        (429, b"", {}, SlowDown, 18.0),
        (429, "too_many", {"retry-after": "7"}, SlowDown, 7.0),
        (403, "not_entitled", {}, FixRequest, None),
        (200, "not_entitled", {}, FixRequest, None),
        (403, "before_end_of_day", {}, FixRequest, None),
        (403, b"<html>Just a moment</html>", {}, TryAgain, None),
        (404, "no_data", {}, type(None), None),
        (404, "no_ticker", {}, UnknownName, None),
        (404, b"404 page not found", {}, FixRequest, None),
        (400, "bad_range", {}, FixRequest, None),
        (200, "bad_range", {}, FixRequest, None),
        (499, "bad_range", {}, TryAgain, None),
        (413, "bad_range", {}, TryAgain, None),
        (503, "bad_range", {}, TryAgain, None),
        (200, b"<html></html>", {}, TryAgain, None),
        (200, payload("polygon", "aggregates")[:-20], {}, TryAgain, None),
        (200, b"OK", {}, BadData, None),
    ],
)
def test_status_and_text_say_what_to_do_and_the_text_is_never_repeated(status, name, headers, kind, wait):
    said = reply(name, BARS, status=status, headers=headers, received=datetime(2026, 1, 1, 0, 0, 42, tzinfo=UTC))
    error = polygon.error_of(said)
    assert type(error) is kind
    if error is not None:
        assert (error.provider, error.status, error.retry_after_s) == ("polygon", status, wait)
        assert "upgrade" not in f"{error} {vars(error)}"


@pytest.mark.parametrize("name", ["aggregates", "aggregates_delayed", "quotes_fx", *DOCUMENTED])
def test_documented_answers_are_no_errors_delayed_and_success_among_them(name):
    assert polygon.error_of(reply(name, BARS)) is None


def test_it_is_found_by_its_new_name_and_says_since_when():
    assert providers.name_of("massive") == "polygon"
    facts = polygon.facts
    assert (facts.lifecycle, facts.lifecycle_note[:10]) == ("renamed", "2025-10-30")
    assert (facts.base_url, facts.mirrors) == ("https://api.massive.com", ("https://api.polygon.io",))
    assert (facts.key.also, facts.key.prefix) == (("POLYGON_API_KEY",), "Bearer ")


def test_the_catalogue_takes_legs_as_they_are_told_and_leaves_out_what_we_can_not_spell():
    found = polygon.listed(replace(reply("tickers", BARS), request=polygon.catalogue("a")))
    assert found[:4] == ["A", "ONEU-SDT", "EUR-USD", "SPX.INDEX"]
    assert "LABOR.PARTICIPATION" in found
    assert polygon.instrument_of("X:ONEUSDT") == "ONE-USDT"
    with pytest.raises(BadData):
        polygon.listed(reply({"status": "OK", "results": [7]}, BARS))


@pytest.mark.parametrize(
    ("instrument", "native"),
    [
        ("AAPL", "AAPL"), ("BRK.B", "BRK.B"), ("KIM.PR.L", "KIMpL"), ("KIM.PR", "KIMp"), ("EUR-USD", "C:EURUSD"),
        ("XAU-USD", "C:XAUUSD"), ("BTC-USD", "X:BTCUSD"), ("BTC-USDT", "X:BTCUSDT"), ("SPX.INDEX", "I:SPX"),
        ("TREASURY.10Y", "treasury-yields/yield_10_year"),
    ],
)  # fmt: skip
def test_a_name_and_its_ticker_are_each_others_inverse(instrument, native):
    assert polygon.native_symbol(instrument) == native
    assert polygon.instrument_of(native) == instrument


@pytest.mark.parametrize(
    "native", ["ACHRw", "O:AAPL250117C00150000", "X:EURUSD", "C:BTCUSD", "", ":", "X:", "I:", "TREASURY.10Y"]
)
def test_a_ticker_that_we_can_not_spell_or_would_ask_for_otherwise_has_no_instrument(native):
    assert polygon.instrument_of(native) is None


LEGS = st.sampled_from(["USD", "EUR", "GBP", "JPY", "BTC", "ETH", "SOL", "USDT", "USDC", "DOGE", "XAU"])
NAMES = st.from_regex(r"[A-Z]{1,5}(\.[A-Z]{1,2}|\.INDEX|\.PR\.[A-Z])?", fullmatch=True)


@given(NAMES | st.tuples(LEGS, LEGS).map("-".join) | st.sampled_from(sorted(tickers.SERIES)))
def test_every_name_comes_back_from_its_native_symbol_or_none_does(name):
    back = polygon.instrument_of(polygon.native_symbol(name))
    assert back in (name, None) or polygon.native_symbol(back) == polygon.native_symbol(name)
    if "-" not in name or name.endswith(("-USD", "-EUR", "-BTC", "-USDT")):
        assert back == name


@given(st.text(max_size=12) | st.from_regex(r"[CXI]:[A-Z]{2,8}|[A-Z]{1,4}p[A-Z]?", fullmatch=True))
def test_whatever_has_an_instrument_follows_the_grammar_and_is_asked_for_as_it_was_spelt(native):
    found = polygon.instrument_of(native)
    assert found is None or (
        is_instrument(found) and polygon.native_symbol(found) in (native, native.replace("-", "", 1))
    )


def test_a_test_can_lower_the_size_of_a_page(monkeypatch):
    monkeypatch.setattr(questions, "PAGE_ROWS", 7)
    assert dict(polygon.build(TRADES)[0].params)["limit"] == "7"
