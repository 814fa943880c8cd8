"""Polygon: requests by its names, documented answers read to the digit, its many units of time, errors told apart."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import providers
from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.symbols import is_instrument
from ingest.providers import polygon
from ingest.providers.contract import Query
from ingest.providers.polygon_parts import questions, tickers
from tests.providers.payloads import T0, answer, payload

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
START = datetime(2020, 1, 2, tzinfo=UTC)
BARS = Query("bars", ("AAPL",), "1d", START, START + 2 * DAY)
INTRADAY = Query("bars", ("AAPL",), "5m", START + 17 * timedelta(seconds=1), START + 31 * MINUTE)
WHOLE = Query(
    "bars", ("KIM.PR.L", "VSAT", "AAPL"), "1d", datetime(2020, 10, 14, tzinfo=UTC), datetime(2020, 10, 15, tzinfo=UTC)
)
TRADES = Query("trades", ("AAPL",), None, START, START + MINUTE)
COINS = Query("trades", ("BTC-USD",))
QUOTES, MONEY = Query("quotes", ("AAPL",)), Query("quotes", ("EUR-USD",))
BOOKS = Query("books", ("BTC-USD",))
NEWS = Query("news", ("UBS",), None, START, START + DAY)
FACTS = Query(
    "observations",
    ("TREASURY.10Y", "TREASURY.1Y"),
    None,
    datetime(1962, 1, 1, tzinfo=UTC),
    datetime(1963, 1, 1, tzinfo=UTC),
)
ACTIONS = Query("actions", ("AAPL",), None, datetime(2000, 1, 1, tzinfo=UTC), START)
DOCUMENTED = {
    "aggregates": BARS,
    "grouped": WHOLE,
    "trades": TRADES,
    "trades_crypto": COINS,
    "last_quote": QUOTES,
    "quotes_fx": MONEY,
    "book": BOOKS,
    "news": NEWS,
    "treasury_yields": FACTS,
    "splits": ACTIONS,
    "dividends": ACTIONS,
}


def reply(name, query, *, status=200, headers=None, received=T0):
    """Return an answer to the query's first request; `name` is a payload's, or the body."""
    body = payload("polygon", name) if isinstance(name, str) and re.fullmatch(r"\w+", name) else name
    said = answer(body if isinstance(body, bytes | str) else json.dumps(body), status=status, headers=headers)
    return replace(said, request=polygon.build(query)[0], received_at=received)


def parsed(name, query):
    found = polygon.parse(query, reply(name, query))
    assert found.rejects == ()
    return found.columns


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


def test_daily_bars_have_the_date_in_new_york_and_their_digits():
    found = polygon.parse(BARS, reply("aggregates", BARS))
    assert found.time_unit == "date"
    assert found.columns == {
        "instrument": ["AAPL"] * 2,
        "ts": ["2020-01-02", "2020-01-03"],
        "open": ["74.06", "74.2875"],
        "high": ["75.15", "75.145"],
        "low": ["73.7975", "74.125"],
        "close": ["75.0875", "74.3575"],
        "volume": ["135647456", "1.46535512e+08"],
        "trade_count": ["1", "1"],
    }


@pytest.mark.parametrize(
    ("instrument", "ms", "day"),
    [
        ("AAPL", 1583470800000, "2020-03-06"),  # 05:00 UTC, the last session of winter time
        ("AAPL", 1583726400000, "2020-03-09"),  # 04:00 UTC, the first of summer time
        ("SPX.INDEX", 1583726400000, "2020-03-09"),
        ("EUR-USD", 1626912000000, "2021-07-22"),  # 00:00 UTC
        ("BTC-USD", 1590984000000, "2020-06-01"),  # 04:00 UTC, as the documentation has it for coins
    ],
)
def test_a_daily_bars_time_is_of_its_markets_zone_in_summer_and_winter(instrument, ms, day):
    query = replace(BARS, instruments=(instrument,))
    row = {"t": ms, "o": 1, "h": 1, "l": 1, "c": 1}
    assert parsed({"status": "OK", "results": [row]}, query)["ts"] == [day]


def test_bars_within_the_day_are_milliseconds_and_missing_fields_are_null():
    rows = [{"t": 1577923500000, "o": 1, "h": 1.50, "l": 1, "c": 1}]
    found = polygon.parse(INTRADAY, reply({"status": "DELAYED", "results": rows}, INTRADAY))
    assert (found.time_unit, found.columns["ts"], found.columns["high"]) == ("ms", [1577923500000], ["1.5"])
    assert (found.columns["volume"], found.columns["trade_count"]) == ([None], [None])


def test_the_volume_of_money_is_a_count_of_quotes_and_not_taken_for_one():
    found = parsed("aggregates_fx", replace(BARS, instruments=("EUR-USD",)))
    assert (found["ts"], found["volume"], found["trade_count"]) == (["2021-07-22"], [None], ["125329"])
    index = parsed("aggregates_index", replace(BARS, instruments=("NDX.INDEX",)))
    assert (index["ts"], index["low"]) == (["2023-03-09", "2023-03-10"], ["11970.34221717375", "11789.85922449393"])


def test_of_a_whole_market_only_what_was_asked_for_is_read_and_small_letters_count():
    found = parsed("grouped", WHOLE)
    assert (found["instrument"], found["ts"]) == (["KIM.PR.L", "VSAT"], ["2020-10-14"] * 2)
    assert found["volume"] == ["4369", "312583"]


def test_adjusted_bars_are_never_taken_for_raw_ones_though_money_may_say_so():
    page = json.loads(payload("polygon", "aggregates")) | {"adjusted": True}
    with pytest.raises(BadData):
        polygon.parse(BARS, reply(page, BARS))


@pytest.mark.parametrize("ticker", ["I:NDX", "aapl", [], {}, None, 7])
def test_bars_of_another_ticker_are_bad_data(ticker):
    page = json.loads(payload("polygon", "aggregates")) | {"ticker": ticker}
    with pytest.raises(BadData) as bad:
        polygon.parse(BARS, reply(page, BARS))
    assert bad.value.rule == "unknown_symbol"


def test_trades_keep_every_nanosecond_the_order_number_and_fractions_of_a_share():
    found = polygon.parse(TRADES, reply("trades", TRADES))
    assert found.time_unit == "ns"
    assert found.columns == {
        "instrument": ["AAPL"] * 2,
        "ts": [1517562000016036581, 1517562000016038175],
        "trade_id": ["1063", "1064"],
        "price": ["171.55", "171.55"],
        "size": ["100", "0.250000"],
        "side": [None, None],
    }


def test_a_coins_trade_tells_its_taker_by_its_condition():
    found = parsed("trades_crypto", COINS)
    assert found["side"] == ["sell", "buy", None]
    assert (found["trade_id"][0], found["ts"][0], found["size"]) == (
        "191450340", 1625097600103000000, ["1.0434526", "0.0058883", "1e-8"])  # fmt: skip


def test_a_last_quote_has_small_letters_for_the_bid_and_a_price_of_zero_is_no_quote():
    found = parsed("last_quote", QUOTES)
    assert found == {
        "instrument": ["AAPL"], "ts": [1617827221349730300],
        "bid": ["127.96"], "bid_size": ["1"], "ask": ["127.98"], "ask_size": ["7"],
    }  # fmt: skip
    one_side = parsed("last_quote_one_side", QUOTES)
    assert [one_side[name] for name in ("bid", "bid_size", "ask", "ask_size")] == [["102.7"], ["60"], [None], [None]]
    money = parsed("quotes_fx", MONEY)
    assert (money["ask"][0], money["bid"], money["bid_size"]) == ("1.18565", ["1.18558", "1.18559"], [None, None])


@pytest.mark.parametrize("digits", ["1605295074", "1605295074000", "1605295074000000", "1605295074000000000"])
def test_the_unit_of_a_time_is_told_by_its_digits_where_it_differs(digits):
    page = {"status": "OK", "results": {"t": int(digits), "p": 1, "P": 2}}
    assert parsed(page, QUOTES)["ts"] == [1605295074000000000]


def test_a_book_is_one_row_whose_sizes_are_sums_over_exchanges():
    assert parsed("book", BOOKS) == {
        "instrument": ["BTC-USD"],
        "ts": [1605295074162000000],
        "bid_prices": ["16303.17,16302.94"],
        "bid_sizes": ["2,0.05204924"],
        "ask_prices": ["11454,11455"],
        "ask_sizes": ["1,1"],
    }


def test_news_names_instruments_of_our_grammar_and_keeps_what_it_says_of_each():
    found = polygon.parse(NEWS, reply("news", NEWS))
    columns = found.columns
    assert found.time_unit == "us"
    assert columns["ts"] == [1719254033000000, 1719254033250000]
    assert columns["article_id"] == ["8ec638777ca03b553ae516761c2a22ba2fdd2f37befae3ab6fdab74e9e5193eb", "2"]
    assert columns["instruments"] == ["UBS", "KIM.PR.L,BTC-USD,UBS"]
    assert (columns["source"], columns["author"][1], columns["summary"][1]) == (["Investing.com", "Wire"], None, None)
    assert json.loads(columns["sentiments"][0])["UBS"]["label"] == "positive"
    assert columns["sentiments"][1] is None
    assert columns["url"][0].startswith("https://uk.investing.com/")


def test_observations_have_a_row_for_each_series_asked_for_and_a_null_is_a_missing_one():
    assert parsed("treasury_yields", FACTS) == {
        "instrument": ["TREASURY.10Y", "TREASURY.1Y"] * 2,
        "ts": ["1962-01-02"] * 2 + ["1962-01-03"] * 2,
        "value": ["4.06", "3.22", "4.03", None],
    }
    assert parsed("treasury_yields", replace(FACTS, instruments=("TREASURY.30Y",)))["ts"] == []


def test_splits_and_dividends_are_actions_on_their_ex_date():
    splits = parsed("splits", ACTIONS)
    assert (splits["ts"], splits["kind"]) == (["2020-08-31", "2005-02-28"], ["split"] * 2)
    assert (splits["split_from"], splits["split_to"], splits["amount"]) == (["1", "1"], ["4", "2"], [None, None])
    dividends = parsed("dividends", ACTIONS)
    assert (dividends["ts"][0], dividends["kind"][0], dividends["amount"][0]) == ("2021-11-05", "dividend", "0.22")
    assert [dividends[name][0] for name in ("declared_on", "recorded_on", "paid_on")] == [
        "2021-10-28", "2021-11-08", "2021-11-11"]  # fmt: skip


@pytest.mark.parametrize("row", [None, 7, [], {}, {"t": "x"}, {"t": 1.5}, {"t": 1578027600000, "o": []}, {"t": 10**17}])
def test_a_bar_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    good = {"t": 1577941200000, "o": 1, "h": 1, "l": 1, "c": None}
    found = polygon.parse(BARS, reply({"status": "OK", "results": [good, row, good]}, BARS))
    assert found.columns["close"] == [None, None]
    assert [(r.instrument, r.rule) for r in found.rejects] == [("AAPL", "wrong_shape")]


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["t", "T", "p", "x", "results"]), inner, max_size=4)
    ),
    max_leaves=10,
)


def texts_of(value):
    """Return every scalar of a document as the text it has there."""
    if isinstance(value, dict):
        return {text for one in (*value, *value.values()) for text in texts_of(one)}
    return {text for one in value for text in texts_of(one)} if isinstance(value, list) else {str(value)}


@given(st.data(), st.sampled_from(sorted(DOCUMENTED)), st.sampled_from(sorted(DOCUMENTED)), JSON)
def test_a_documented_page_with_any_part_replaced_gives_rows_rejects_or_bad_data(data, name, other, value):
    document = json.loads(payload("polygon", name))
    part, key = document, data.draw(st.sampled_from(list(document)))
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    query = DOCUMENTED[data.draw(st.sampled_from([name, other]))]
    said = reply(document, query)
    assert isinstance(polygon.error_of(said), TickfarmError | None)
    following = polygon.next_page(said.request, said)
    assert following is None or (following.path, following.params) != (said.request.path, said.request.params)
    try:
        found = polygon.parse(query, said)
    except BadData:
        return
    assert len({len(column) for column in found.columns.values()}) == 1
    sent = texts_of(json.loads(said.body, parse_float=str, parse_int=str, parse_constant=str))
    for column in (
        "open",
        "high",
        "low",
        "close",
        "volume",
        "trade_count",
        "price",
        "size",
        "bid",
        "ask",
        "value",
        "amount",
    ):
        assert {text for text in found.columns.get(column, []) if text is not None} <= sent


@given(st.sampled_from(sorted(DOCUMENTED)), st.integers(0, 3000))
def test_a_page_cut_anywhere_is_an_error(name, length):
    body = payload("polygon", name).strip()
    if length < len(body):
        said = reply(body[:length], DOCUMENTED[name])
        assert polygon.error_of(said) is not None or body[:length].endswith(b"}")
        with pytest.raises(BadData):
            polygon.parse(DOCUMENTED[name], said)


def test_a_test_can_lower_the_size_of_a_page(monkeypatch):
    monkeypatch.setattr(questions, "PAGE_ROWS", 7)
    assert dict(polygon.build(TRADES)[0].params)["limit"] == "7"
