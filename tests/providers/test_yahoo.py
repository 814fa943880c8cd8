"""Yahoo: charts read to the digit and in the exchange's days, the live last row, nulls, symbols, errors told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import yahoo
from ingest.providers.contract import Query
from tests.providers.payloads import payload

START, END = datetime(2025, 10, 31, tzinfo=UTC), datetime(2025, 12, 23, tzinfo=UTC)
DAILY = Query("bars", ("AAPL",), "1d", START, END)
MINUTES = Query("bars", ("AAPL",), "1m", datetime(2025, 12, 22, 20, tzinfo=UTC), datetime(2025, 12, 22, 22, tzinfo=UTC))
ACTIONS = Query("actions", ("AAPL",), None, datetime(2020, 8, 31, tzinfo=UTC), datetime(2025, 11, 11, tzinfo=UTC))
QUOTES = Query("quotes", ("AAPL",))
EVERY = (DAILY, MINUTES, ACTIONS, QUOTES)
PAGES = ("daily", "minutes", "events", "no_rows", "null_result")


def reply(body, query=DAILY, *, status=200, headers=None):
    """Return an answer to the query's first request."""
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    body = body if isinstance(body, bytes) else body.encode()
    (request, *_) = yahoo.build(query)
    return yahoo.Answer(request, status, headers or {}, body, END, END)


def documented(name):
    return json.loads(payload("yahoo", name))


def changed(name, **columns):
    """Return a documented chart with other columns: `timestamp` and those of the quote."""
    document = documented(name)
    chart = document["chart"]["result"][0]
    for column, values in columns.items():
        if column == "timestamp":
            chart["timestamp"] = values
        else:
            chart["indicators"]["quote"][0][column] = values
    return document


def test_a_window_of_days_is_asked_with_a_margin_for_every_zone_and_a_browsers_user_agent():
    (request,) = yahoo.build(DAILY)
    assert request.path == "/v8/finance/chart/AAPL"
    assert request.params == (
        ("period1", str(int((START - timedelta(hours=14)).timestamp()))),
        ("period2", str(int((END + timedelta(hours=12)).timestamp()))),
        ("interval", "1d"),
        ("includePrePost", "false"),
    )
    assert request.headers == (("user-agent", "Mozilla/5.0 (compatible; tickfarm)"),)
    assert (request.instruments, request.start, request.end) == (("AAPL",), START, END)


def test_minutes_are_asked_for_seven_days_at_a_time_and_other_bars_whole():
    end = START + timedelta(days=20)
    parts = [(r.start, r.end) for r in yahoo.build(replace(MINUTES, start=START, end=end))]
    week = timedelta(days=7)
    assert parts == [(START, START + week), (START + week, START + 2 * week), (START + 2 * week, end)]
    (request,) = yahoo.build(Query("bars", ("BTC-USD",), "1h", START, end))
    assert dict(request.params) | {"period1": "1761868800", "period2": "1763596800"} == dict(request.params)


def test_a_live_poll_reaches_back_from_now_and_a_quote_asks_for_the_day():
    now = datetime(2025, 12, 22, 15, 31, 42, 1, UTC)
    (bars,) = yahoo.build(Query("bars", ("AAPL",), "1m", None, now))
    assert dict(bars.params)["period1"] == str(int(datetime(2025, 12, 22, 14, 31, tzinfo=UTC).timestamp()))
    assert dict(bars.params)["period2"] == str(int(now.timestamp()) + 1)
    assert bars.start is bars.end is None
    (days,) = yahoo.build(Query("bars", ("AAPL",), "1d", None, now))
    assert int(dict(days.params)["period1"]) == int((now - timedelta(days=10)).timestamp()) + 1
    (actions,) = yahoo.build(Query("actions", ("AAPL",), None, None, now))
    assert dict(actions.params)["events"] == "div,splits"
    (quote, other) = yahoo.build(Query("quotes", ("AAPL", "EUR-USD", "AAPL")))
    assert quote.params == (("range", "1d"), ("interval", "1d"))
    assert other.path == "/v8/finance/chart/EURUSD=X"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("news", ("AAPL",)), UnknownName),
        (Query("bars", ("AAPL",), "30m", START, END), UnknownName),
        (Query("bars", ("AAPL",), None, START, END), UnknownName),
        (Query("bars", ("AAPL",), "1h", START, END), FixRequest),
        (Query("bars", ("AAPL",), "1d", START), FixRequest),
        (Query("bars", ("aapl",), "1d", START, END), FixRequest),
        (Query("bars", ("BTC.USD",), "1d", START, END), FixRequest),
    ],
)
def test_what_yahoo_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        yahoo.build(query)


def test_days_are_dated_in_new_york_on_both_sides_of_summer_time_and_keep_every_digit():
    parsed = yahoo.parse(DAILY, reply(payload("yahoo", "daily")))
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["AAPL"] * 4,
        "ts": ["2025-10-31", "2025-11-03", "2025-12-18", "2025-12-22"],
        "open": ["276.989990234375", "270.4200134277344", "273.6", "272.8"],
        "high": ["277.32000732421875", "270.8500061035156", "273.6", "273.8"],
        "low": ["269.1600036621094", "266.25", "266.9", "270.5"],
        "close": ["270.3699951171875", "269.04998779296875", "272.1", "270.9"],
        "volume": ["86167100", "50194600", "51630700", "36445199"],
        "adjusted_close": ["270.1123046875", "268.793701171875", "272.1", "270.9"],
    }


def test_the_live_last_row_of_a_day_takes_the_place_of_the_days_bar_and_alone_is_the_day():
    live = yahoo.parse(DAILY, reply(payload("yahoo", "daily"))).columns
    assert live["volume"][-1] == "36445199"
    alone = documented("daily")
    chart = alone["chart"]["result"][0]
    for column in (
        chart["timestamp"],
        *chart["indicators"]["quote"][0].values(),
        chart["indicators"]["adjclose"][0]["adjclose"],
    ):
        del column[-2]
    assert yahoo.parse(DAILY, reply(alone)).columns == live


def test_two_rows_of_a_day_that_are_no_live_row_both_stay_for_the_quality_rules():
    document = documented("daily")
    document["chart"]["result"][0]["meta"]["regularMarketTime"] = 1766437207
    assert yahoo.parse(DAILY, reply(document)).columns["ts"][-2:] == ["2025-12-22"] * 2


def test_an_intraday_live_row_and_halted_minutes_are_no_bars():
    parsed = yahoo.parse(MINUTES, reply(payload("yahoo", "minutes"), MINUTES))
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    assert parsed.columns["ts"] == [1766437020, 1766437140]
    assert parsed.columns["close"] == ["270.57", "270.97"]
    assert parsed.columns["adjusted_close"] == [None, None]


def test_a_live_row_on_the_grid_is_known_by_its_equal_prices_and_no_volume_and_a_traded_bar_is_kept():
    document = changed("minutes", timestamp=[1766437020, 1766437080, 1766437140, 1766437200])
    document["chart"]["result"][0]["meta"]["regularMarketTime"] = 1766437200
    assert yahoo.parse(MINUTES, reply(document, MINUTES)).columns["ts"] == [1766437020, 1766437140]
    document["chart"]["result"][0]["indicators"]["quote"][0]["volume"][-1] = 5
    assert yahoo.parse(MINUTES, reply(document, MINUTES)).columns["ts"] == [1766437020, 1766437140, 1766437200]


def test_a_row_with_some_nulls_stays_for_the_quality_rules():
    document = changed("minutes", high=[None, None, 271.0, 270.97], volume=[None, None, 1, 0])
    parsed = yahoo.parse(MINUTES, reply(document, MINUTES))
    assert (parsed.columns["high"], parsed.columns["volume"]) == ([None, "271.0"], [None, "1"])


def test_rows_beyond_the_window_are_cut_because_the_newest_price_comes_after_any_end():
    shorter = replace(DAILY, start=START + timedelta(seconds=1), end=END - timedelta(days=4))
    assert yahoo.parse(shorter, reply(payload("yahoo", "daily"), shorter)).columns["ts"] == ["2025-11-03", "2025-12-18"]
    minute = replace(MINUTES, end=datetime(2025, 12, 22, 20, 59, tzinfo=UTC))
    assert yahoo.parse(minute, reply(payload("yahoo", "minutes"), minute)).columns["ts"] == [1766437020]


@pytest.mark.parametrize(
    ("zone", "seconds", "day"),
    [
        ("Europe/London", int(datetime(2026, 6, 14, 23, tzinfo=UTC).timestamp()), "2026-06-15"),
        ("Europe/London", int(datetime(2026, 1, 15, 0, tzinfo=UTC).timestamp()), "2026-01-15"),
        ("Asia/Tokyo", int(datetime(2026, 6, 15, 0, tzinfo=UTC).timestamp()), "2026-06-15"),
        ("Australia/Sydney", int(datetime(2026, 1, 14, 23, tzinfo=UTC).timestamp()), "2026-01-15"),
        ("America/New_York", -252322200, "1962-01-02"),
        ("UTC", 0, "1970-01-01"),
    ],
)
def test_the_date_is_that_of_the_exchange_wherever_it_is_and_before_1970(zone, seconds, day):
    one = {name: [1.0] for name in ("open", "high", "low", "close", "volume")}
    meta = {"symbol": "AAPL", "exchangeTimezoneName": zone}
    chart = {"meta": meta, "timestamp": [seconds], "indicators": {"quote": [one]}}
    query = Query("bars", ("AAPL",), "1d", None, END)
    assert yahoo.parse(query, reply({"chart": {"result": [chart]}}, query)).columns["ts"] == [day]


def test_a_session_in_the_east_whose_date_has_not_begun_in_utc_is_left_to_the_next_poll():
    one = {name: [1.0, 2.0] for name in ("open", "high", "low", "close", "volume")}
    seconds = [
        int(datetime(2025, 12, 21, 23, tzinfo=UTC).timestamp()),
        int(datetime(2025, 12, 22, 23, tzinfo=UTC).timestamp()),
    ]
    meta = {"symbol": "AAPL", "exchangeTimezoneName": "Australia/Sydney"}
    chart = {"chart": {"result": [{"meta": meta, "timestamp": seconds, "indicators": {"quote": [one]}}]}}
    query = Query("bars", ("AAPL",), "1d", None, END)
    early = replace(reply(chart, query), received_at=datetime(2025, 12, 22, 23, 30, tzinfo=UTC))
    assert yahoo.parse(query, early).columns["ts"] == ["2025-12-22"]
    assert yahoo.parse(query, reply(chart, query)).columns["ts"] == ["2025-12-22", "2025-12-23"]


def test_dividends_and_splits_are_of_their_ex_date_and_a_dividends_own_currency_goes_before_the_prices():
    parsed = yahoo.parse(ACTIONS, reply(payload("yahoo", "events"), ACTIONS))
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["AAPL"] * 3,
        "ts": ["2025-11-10", "2025-08-08", "2020-08-31"],
        "kind": ["dividend", "dividend", "split"],
        "action_id": [""] * 3,
        "amount": ["0.26", "0.26", None],
        "currency": ["USD", "EUR", None],
        "split_from": [None, None, "1"],
        "split_to": [None, None, "4"],
    }
    later = replace(ACTIONS, start=datetime(2020, 9, 1, tzinfo=UTC), end=datetime(2025, 11, 10, tzinfo=UTC))
    assert yahoo.parse(later, reply(payload("yahoo", "events"), later)).columns["ts"] == ["2025-08-08"]


@pytest.mark.parametrize("event", [None, [], {"date": 1762785000}, {"amount": 1}, {"amount": 1, "date": "x"}])
def test_an_event_of_wrong_shape_is_rejected_and_the_others_are_kept(event):
    document = documented("events")
    document["chart"]["result"][0]["events"]["dividends"]["1"] = event
    parsed = yahoo.parse(ACTIONS, reply(document, ACTIONS))
    assert len(parsed.columns["ts"]) == 3
    assert [one.rule for one in parsed.rejects] == ["wrong_shape"]


def test_a_quote_is_the_newest_price_and_its_time():
    parsed = yahoo.parse(QUOTES, reply(payload("yahoo", "daily"), QUOTES))
    assert parsed.columns == {"instrument": ["AAPL"], "ts": [1766437206], "last": ["270.97"]}
    assert parsed.time_unit == "s"
    assert yahoo.parse(QUOTES, reply(payload("yahoo", "null_result"), QUOTES)).columns["ts"] == []
    odd = documented("daily")
    odd["chart"]["result"][0]["meta"]["regularMarketTime"] = None
    assert [one.rule for one in yahoo.parse(QUOTES, reply(odd, QUOTES)).rejects] == ["wrong_shape"]


@pytest.mark.parametrize("query", EVERY)
def test_a_chart_without_rows_or_without_result_is_empty_and_no_error(query):
    for name in ("no_rows", "null_result"):
        answered = reply(payload("yahoo", name), query)
        assert yahoo.error_of(answered) is None
        assert query.dataset == "quotes" or yahoo.parse(query, answered).columns["ts"] == []
        assert yahoo.next_page(answered.request, answered) is None


@pytest.mark.parametrize("stamp", [None, "x", 1.5, [], 10**12, True])
def test_a_row_without_whole_seconds_is_rejected_and_the_others_are_kept(stamp):
    document = changed("minutes", timestamp=[stamp, 1766437080, 1766437140, 1766437206])
    parsed = yahoo.parse(MINUTES, reply(document, MINUTES))
    assert parsed.columns["ts"] == [1766437140]
    assert [one.rule for one in parsed.rejects] == ["wrong_shape"]


@pytest.mark.parametrize("price", [[], {}, True])
def test_a_price_that_is_neither_text_nor_null_is_rejected(price):
    parsed = yahoo.parse(MINUTES, reply(changed("minutes", open=[price, None, 1, 1]), MINUTES))
    assert [one.rule for one in parsed.rejects] == ["wrong_shape"]


@pytest.mark.parametrize(
    "body",
    ["", "{}", "[]", "7", '{"chart":null}', '{"chart":{"result":[7]}}', '{"chart":{"result":[{"meta":{}}]}}',
     json.dumps(changed("daily", volume=[1])), json.dumps(changed("daily", open=None)), "[" * 100_000, b"\xff"],
)  # fmt: skip
def test_a_page_that_is_no_page_is_bad_data(body):
    with pytest.raises(BadData) as bad:
        yahoo.parse(DAILY, reply(body))
    assert bad.value.rule == "unparsable_page"


def test_a_zone_that_does_not_exist_and_another_symbols_chart_are_bad_data():
    document = documented("daily")
    for zone in (None, "", "Europe/Nowhere", "../etc/passwd", "/etc/passwd", 7):
        document["chart"]["result"][0]["meta"]["exchangeTimezoneName"] = zone
        with pytest.raises(BadData, match="time zone"):
            yahoo.parse(DAILY, reply(document))
    with pytest.raises(BadData) as bad:
        yahoo.parse(DAILY, reply(documented("daily"), replace(DAILY, instruments=("IBM",))))
    assert bad.value.rule == "unknown_symbol"


@pytest.mark.parametrize(
    ("status", "body", "kind", "wait"),
    [
        (429, b"Too Many Requests\r\n", SlowDown, 300.0),
        (429, b"Edge: Too Many Requests", SlowDown, 300.0),
        (200, b"Too Many Requests", SlowDown, 300.0),
        (429, b"", SlowDown, 300.0),
        (404, payload("yahoo", "not_found"), UnknownName, None),
        (200, payload("yahoo", "not_found"), UnknownName, None),
        (422, payload("yahoo", "eight_days"), FixRequest, None),
        (400, payload("yahoo", "sixty_days"), FixRequest, None),
        (401, payload("yahoo", "invalid_crumb"), FixRequest, None),
        (200, payload("yahoo", "internal"), TryAgain, None),
        (500, payload("yahoo", "internal"), TryAgain, None),
        (200, b"<html><h1>Will be right back...</h1></html>", TryAgain, None),
        (502, b"<html></html>", TryAgain, None),
        (403, b"Forbidden", TryAgain, None),
        (403, b"<html></html>", TryAgain, None),
        (404, b"<html></html>", FixRequest, None),
        (200, payload("yahoo", "daily")[:300], TryAgain, None),
        (200, b"", TryAgain, None),
        (200, b"OK", BadData, None),
    ],
)
def test_status_and_error_object_say_what_to_do(status, body, kind, wait):
    error = yahoo.error_of(reply(body, status=status))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("yahoo", status, wait)


def test_a_told_wait_goes_before_our_own_and_an_unknown_symbol_is_named():
    assert yahoo.error_of(reply("Too Many Requests", status=429, headers={"retry-after": "7"})).retry_after_s == 7.0
    error = yahoo.error_of(reply(payload("yahoo", "not_found"), status=404))
    assert (error.kind, error.given, error.instrument) == ("instrument", "AAPL", "AAPL")


def test_a_window_before_the_first_bar_is_empty_though_its_status_is_400():
    answered = reply(payload("yahoo", "before_listing"), status=400)
    assert yahoo.error_of(answered) is None
    assert yahoo.parse(DAILY, answered).columns["ts"] == []


def test_documented_charts_are_no_errors():
    assert [yahoo.error_of(reply(payload("yahoo", name))) for name in PAGES] == [None] * len(PAGES)


@given(st.sampled_from(["Not Found", "Unauthorized", "Bad Request", "?"]), st.sampled_from([200, 400, 401, 404, 422]))
def test_no_word_of_an_error_body_reaches_a_message(code, status):
    body = {"chart": {"result": None, "error": {"code": code, "description": "sEcReT"}}}
    error = yahoo.error_of(reply(body, status=status))
    assert "sEcReT" not in f"{error} {error!r} {vars(error)}"


def test_the_search_lists_what_our_grammar_spells():
    request = yahoo.catalogue("apple & co")
    assert (request.path, dict(request.params)["q"]) == ("/v1/finance/search", "apple & co")
    assert yahoo.catalogue() is None
    names = ["AAPL", "BRK.B", "TSCO.LON", "GSPC.INDX", "USD-JPY", "EUR-USD", "ES.FUT", "BTC-USD"]
    assert yahoo.listed(reply(payload("yahoo", "search"))) == names
    assert yahoo.listed(reply({"quotes": [None, {}, {"symbol": 7}]})) == []
    with pytest.raises(BadData):
        yahoo.listed(reply({"quotes": {}}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from("abcxy"), inner, max_size=4),
    max_leaves=12,
)


def leaves(part):
    if isinstance(part, dict):
        return {leaf for inner in part.values() for leaf in leaves(inner)}
    if isinstance(part, list):
        return {leaf for inner in part for leaf in leaves(inner)}
    return {part} if isinstance(part, str) else set()


@given(st.data(), st.sampled_from(PAGES), st.sampled_from(EVERY), JSON, st.floats(0, 1))
def test_a_documented_chart_with_any_part_replaced_or_cut_gives_rows_of_it_rejects_or_bad_data(
    data, name, query, value, kept
):
    document = documented(name)
    part, key = document, "chart"
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.integers(0, 5)):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    text = json.dumps(document)
    answered = reply(text[: int(len(text) * kept)] if kept < 0.1 else text, query)
    assert isinstance(yahoo.error_of(answered), TickfarmError | None)
    try:
        parsed = yahoo.parse(query, answered)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
    sent = leaves(json.loads(answered.body, parse_int=str, parse_float=str, parse_constant=str))
    ours = {"AAPL", "dividend", "split", "", None}
    told = (value for name, column in parsed.columns.items() if name != "ts" for value in column)
    assert set(told) <= sent | ours
