"""Marketstack: symbols weighed, days inclusive, offsets followed, digits kept, home prices only, errors told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.pipeline.calls import check_interval
from ingest.providers import marketstack
from ingest.providers.contract import Query
from ingest.wire import Answer
from tests.providers.payloads import payload

START, END = datetime(2024, 9, 1, tzinfo=UTC), datetime(2024, 10, 1, tzinfo=UTC)
BARS = Query("bars", ("AAPL", "BRK.B", "TSCO.LON"), "1d", START, END)
ACTIONS = Query("actions", ("AAPL", "IAU"), None, START, END)
QUOTES = Query("quotes", ("AAPL",))
EVERY = (BARS, ACTIONS, QUOTES)
PAGES = ("eod", "eod_last_page", "splits", "dividends", "stockprice")


def reply(body, query=BARS, *, status=200, headers=None, request=None):
    """Return an answer to the query's first request, or to the one given."""
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    body = body if isinstance(body, bytes) else body.encode()
    return Answer(request or marketstack.build(query)[0], status, headers or {}, body, END, END)


def documented(name):
    return json.loads(payload("marketstack", name))


def page(rows, offset=0, total=None):
    total = offset + len(rows) if total is None else total
    return {"pagination": {"limit": 1000, "offset": offset, "count": len(rows), "total": total}, "data": rows}


def bar(**changed):
    return documented("eod")["data"][0] | changed


def test_a_window_asks_for_its_days_both_ends_inclusive_oldest_first_and_weighs_its_symbols():
    (request,) = marketstack.build(BARS)
    assert request.path == "/eod"
    assert request.params == (
        ("symbols", "AAPL,BRK-B,TSCO.XLON"),
        ("date_from", "2024-09-01"),
        ("date_to", "2024-09-30"),
        ("sort", "ASC"),
        ("limit", "1000"),
        ("offset", "0"),
    )
    assert (request.instruments, request.weight) == (BARS.instruments, 3)
    assert (request.start, request.end) == (START, END)


def test_dates_are_those_whose_midnight_lies_in_the_window_and_without_one_nothing_is_asked():
    hour = timedelta(hours=1)
    params = dict(marketstack.build(replace(BARS, start=START + hour, end=END + hour))[0].params)
    assert (params["date_from"], params["date_to"]) == ("2024-09-02", "2024-10-01")
    assert marketstack.build(replace(BARS, start=START + hour, end=START + 2 * hour)) == []


def test_symbols_go_twenty_to_a_request_and_actions_ask_for_splits_and_dividends():
    names = tuple(f"A{i}" for i in range(45))
    assert [r.weight for r in marketstack.build(replace(BARS, instruments=names))] == [20, 20, 5]
    requests = marketstack.build(replace(ACTIONS, instruments=names))
    assert [(r.path, r.weight) for r in requests] == [(p, n) for n in (20, 20, 5) for p in ("/splits", "/dividends")]


def test_a_live_poll_reaches_back_ten_days_and_prices_are_asked_for_one_by_one():
    now = datetime(2024, 9, 27, 21, 15, tzinfo=UTC)
    (request,) = marketstack.build(Query("bars", ("AAPL",), "1d", None, now))
    assert dict(request.params)["date_from"] == "2024-09-18"
    assert dict(request.params)["date_to"] == "2024-09-27"
    assert request.start is request.end is None
    first, second = marketstack.build(Query("quotes", ("AAPL", "BRK.B")))
    assert (first.path, first.params) == ("/stockprice", (("ticker", "AAPL"),))
    assert (second.params, second.instruments) == ((("ticker", "BRK-B"),), ("BRK.B",))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("news", ("AAPL",)), UnknownName),
        (Query("bars", ("AAPL",), "1h", START, END), UnknownName),
        (Query("bars", ("BTC-USD",), "1d", START, END), FixRequest),
        (Query("bars", ("AAPL",), "1d"), FixRequest),
        (Query("quotes", ("TSCO.LON",)), FixRequest),
        (Query("bars", ("TSCO.XLON",), "1d", START, END), FixRequest),
    ],
)
def test_what_marketstack_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        marketstack.build(query)


def test_the_documented_days_are_read_to_the_digit_whatever_the_symbol_is_called():
    parsed = marketstack.parse(BARS, reply(payload("marketstack", "eod")))
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["AAPL", "BRK.B", "TSCO.LON", "AAPL"],
        "ts": ["2024-09-27", "2024-09-27", "2024-09-27", "2024-09-30"],
        "open": ["228.46", "455", "3.60", "230.04"],
        "high": ["229.52", "456.30", None, "233.00"],
        "low": ["227.3", "453.00", "3.55", "229.65"],
        "close": ["227.79", "454.10", "3.58", "233.00"],
        "volume": ["34025967.0", "1.12e+06", None, "54541883.0"],
        "adjusted_close": ["227.79", None, "3.123456789012345678901", "233.00"],
    }


def test_splits_are_factors_of_one_share_and_dividends_have_their_dates():
    splits, dividends = marketstack.build(ACTIONS)
    parsed = marketstack.parse(ACTIONS, reply(payload("marketstack", "splits"), request=splits))
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns["ts"] == ["2005-02-28", "2020-08-31", "2021-05-24"]
    assert parsed.columns["instrument"] == ["AAPL", "AAPL", "IAU"]
    assert (parsed.columns["split_from"], parsed.columns["split_to"]) == (["1"] * 3, ["2.0", "4.0", "0.5"])
    assert (parsed.columns["kind"], parsed.columns["amount"]) == (["split"] * 3, [None] * 3)
    paid = marketstack.parse(ACTIONS, reply(payload("marketstack", "dividends"), request=dividends)).columns
    assert (paid["ts"], paid["kind"]) == (["2021-05-24", "2024-11-08"], ["dividend"] * 2)
    assert (paid["amount"], paid["action_id"]) == (["0.5", "0.25"], ["", ""])
    assert paid["paid_on"] == [None, "2024-11-14"]
    assert paid["recorded_on"] == [None, "2024-11-11"]
    assert paid["declared_on"] == [None, None]


def test_a_price_is_that_of_the_exchange_at_home_and_has_no_time_because_its_own_has_no_zone():
    parsed = marketstack.parse(QUOTES, reply(payload("marketstack", "stockprice"), QUOTES))
    assert parsed.columns == {"instrument": ["AAPL"], "ts": [None], "last": ["244.07"]}
    abroad = {"data": documented("stockprice")["data"][:1]}
    assert marketstack.parse(QUOTES, reply(abroad, QUOTES)).columns["last"] == []
    odd = {"data": [None, {"ticker": "MSFT", "country": "United States", "price": "1"}]}
    assert [one.rule for one in marketstack.parse(QUOTES, reply(odd, QUOTES)).rejects] == ["wrong_shape"] * 2


def test_the_next_page_begins_where_this_one_ends_and_the_last_has_none():
    (first,) = marketstack.build(BARS)
    second = marketstack.next_page(first, reply(payload("marketstack", "eod")))
    assert dict(second.params) == dict(first.params) | {"offset": "4"}
    assert (second.weight, second.instruments, second.start) == (3, first.instruments, START)
    full = reply(page([bar()] * 3, offset=4, total=7), request=second)
    assert marketstack.next_page(second, full) is None
    third = marketstack.next_page(second, reply(page([bar()] * 2, offset=4, total="7"), request=second))
    assert dict(third.params)["offset"] == "6"
    assert marketstack.next_page(first, reply(payload("marketstack", "eod_last_page"))) is None
    assert marketstack.next_page(first, reply("{}")) is None


@pytest.mark.parametrize("stuck", [page([], 0, 9), page([bar()], 4, 9)])
def test_a_page_that_stands_still_ends_the_paging_and_is_bad_data(stuck):
    (first,) = marketstack.build(BARS)
    assert marketstack.next_page(first, reply(stuck)) is None
    with pytest.raises(BadData, match=r"no rows at 0 of 9|begins at 4"):
        marketstack.parse(BARS, reply(stuck))


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "30m", "1h"])
def test_intraday_rows_which_are_the_day_so_far_are_refused_as_bars_and_the_facts_say_why(interval):
    with pytest.raises(UnknownName, match="unknown interval"):
        marketstack.build(Query("bars", ("AAPL",), interval, START, END))
    with pytest.raises(UnknownName, match="unknown interval"):
        check_interval(marketstack.facts, "bars", interval)
    assert "the day so far" in marketstack.facts.left_out["intraday rows as bars"]
    assert "not that of the price" in marketstack.facts.left_out["intraday rows as quotes"]


def test_an_empty_page_is_no_error():
    empty = reply(page([]))
    assert marketstack.error_of(empty) is None
    assert marketstack.parse(BARS, empty).columns["ts"] == []


@pytest.mark.parametrize(
    "row",
    [None, [], {}, bar(symbol="MSFT"), bar(symbol=None), bar(date=None), bar(date="2024-09-27T13:00:00+0000"),
     bar(date="27.9.2024"), bar(open=[]), bar(close=True), {k: v for k, v in bar().items() if k != "adj_close"}],
)  # fmt: skip
def test_a_row_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    parsed = marketstack.parse(BARS, reply(page([bar(), row, bar(more=1)])))
    assert parsed.columns["close"] == ["227.79", "227.79"]
    assert [one.rule for one in parsed.rejects] == ["wrong_shape"]


@pytest.mark.parametrize("row", [None, {"date": "2024-09-27", "symbol": "AAPL"}, {"date": 1, "symbol": "AAPL"}])
def test_an_action_of_wrong_shape_is_rejected(row):
    for request in marketstack.build(ACTIONS):
        parsed = marketstack.parse(ACTIONS, reply(page([row]), request=request))
        assert [one.rule for one in parsed.rejects] == ["wrong_shape"]


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", "null", '{"data":[]}', '{"data":{},"pagination":{}}', "[" * 100_000, b"\xff",
     json.dumps(page([], 0, -1)), json.dumps(page([], 0, None) | {"pagination": None})],
)  # fmt: skip
def test_a_page_that_is_no_page_is_bad_data(body):
    with pytest.raises(BadData) as bad:
        marketstack.parse(BARS, reply(body))
    assert bad.value.rule == "unparsable_page"


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait", "says"),
    [
        (401, "invalid_access_key", {}, KeyRefused, None, "MARKETSTACK_API_KEY"),
        (200, "invalid_access_key", {}, KeyRefused, None, "MARKETSTACK_API_KEY"),
        (401, "eod", {}, KeyRefused, None, "MARKETSTACK_API_KEY"),
        (403, "function_access_restricted", {}, FixRequest, None, "plan"),
        (422, "validation_error", {}, FixRequest, None, "malformed"),
        (422, "no_valid_symbols", {}, FixRequest, None, "each by itself"),
        (429, "rate_limit_reached", {}, SlowDown, 1.0, "at once"),
        (429, "rate_limit_reached", {"retry-after": "9"}, SlowDown, 9.0, "at once"),
        (429, "too_many_requests", {"retry-after": "9"}, SlowDown, None, "the first"),
        (200, "too_many_requests", {}, SlowDown, None, "the first"),
        (200, "message_error", {}, SlowDown, None, "the first"),
        (429, "eod", {"retry-after": "9"}, SlowDown, 9.0, "slow down"),
        (500, "validation_error", {}, TryAgain, None, "HTTP 500"),
        (404, "eod", {}, FixRequest, None, "HTTP 404"),
    ],
)
def test_status_and_code_say_what_to_do(status, name, headers, kind, wait, says):
    error = marketstack.error_of(reply(payload("marketstack", name), status=status, headers=headers))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("marketstack", status, wait)
    assert says in str(error)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("internal_error", 200, TryAgain),
        ("data_not_available", 200, TryAgain),
        ("missing_access_key", 401, KeyRefused),
        ("inactive_user", 401, KeyRefused),
        ("unauthorized", 401, KeyRefused),
        ("https_access_restricted", 403, FixRequest),
        ("invalid_api_function", 404, FixRequest),
        ("404_not_found", 404, FixRequest),
        ("usage_limit_reached", 429, SlowDown),
        ("brand_new", 200, FixRequest),
        ("brand_new", 429, SlowDown),
        (7, 401, KeyRefused),
        (None, 200, FixRequest),
        ([], 200, FixRequest),
    ],
)
def test_each_known_code_has_a_meaning_and_an_odd_one_leaves_it_to_the_status(code, status, kind):
    body = {"error": {"code": code, "message": "sEcReT"}}
    error = marketstack.error_of(reply(body, status=status))
    assert type(error) is kind
    assert "sEcReT" not in f"{error} {error!r} {vars(error)}"


@pytest.mark.parametrize(("name", "status"), [("no_valid_symbols", 422), ("not_found_detail", 404)])
def test_an_unknown_symbol_is_named_if_one_was_asked_for(name, status):
    error = marketstack.error_of(reply(payload("marketstack", name), QUOTES, status=status))
    assert isinstance(error, UnknownName)
    assert (error.kind, error.given, error.instrument, error.status) == ("instrument", "AAPL", "AAPL", status)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, "<html>Access denied</html>", TryAgain),
        (200, "<html></html>", TryAgain),
        (200, payload("marketstack", "eod")[:300], TryAgain),
        (200, "", TryAgain),
        (200, "OK", BadData),
    ],
)
def test_a_body_that_can_not_be_whole_json_is_an_error(status, body, kind):
    assert type(marketstack.error_of(reply(body, status=status))) is kind


def test_documented_pages_are_no_errors():
    assert [marketstack.error_of(reply(payload("marketstack", name))) for name in PAGES] == [None] * len(PAGES)


def test_the_search_lists_what_our_grammar_spells():
    request = marketstack.catalogue("apple")
    assert (request.path, dict(request.params)["search"]) == ("/tickerslist", "apple")
    assert marketstack.catalogue() is None
    found = marketstack.listed(reply(payload("marketstack", "tickerslist"), request=request))
    assert found == ["AAPL", "BRK.B", "TSCO.LON"]
    with pytest.raises(BadData):
        marketstack.listed(reply("{}", request=request))


@pytest.mark.parametrize(
    ("instrument", "native"),
    [("AAPL", "AAPL"), ("BRK.B", "BRK-B"), ("TSCO.LON", "TSCO.XLON"), ("VOLV.B.ST", "VOLV-B.XSTO"),
     ("MBG.DEX", "MBG.XETR"), ("ABC.XBUE", "ABC.XBUE"), ("PETR4.SA", "PETR4.BVMF")],
)  # fmt: skip
def test_names_are_spelled_as_documented_both_ways(instrument, native):
    assert marketstack.native_symbol(instrument) == native
    assert marketstack.instrument_of(native) == instrument


WORD = st.text("ABLX0", min_size=1, max_size=4)
SUFFIX = st.sampled_from(["LON", "L", "XLON", "XBUE", "DEX", "HK", "PA", "WT", "B", "SA", "BVMF"])


@given(st.lists(WORD, min_size=1, max_size=2), st.lists(SUFFIX, max_size=2))
def test_our_spelling_comes_back_from_theirs_or_there_is_none(words, suffixes):
    instrument = ".".join(words + suffixes)
    try:
        native = marketstack.native_symbol(instrument)
    except FixRequest:
        return
    assert marketstack.instrument_of(native) == instrument


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
def test_a_documented_page_with_any_part_replaced_or_cut_gives_rows_of_it_rejects_or_bad_data(
    data, name, query, value, kept
):
    document = documented(name)
    part, key = document, data.draw(st.sampled_from(list(document)))
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.integers(0, 5)):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    text = json.dumps(document)
    request = data.draw(st.sampled_from(marketstack.build(query)))
    answered = reply(text[: int(len(text) * kept)] if kept < 0.1 else text, query, request=request)
    assert isinstance(marketstack.error_of(answered), TickfarmError | None)
    following = marketstack.next_page(answered.request, answered)
    assert following is None or following.params != answered.request.params
    try:
        parsed = marketstack.parse(query, answered)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
    sent = leaves(json.loads(answered.body, parse_int=str, parse_float=str, parse_constant=str))
    days = {text[:10] for text in sent}
    ours = {*query.instruments, "dividend", "split", "", "1", None}
    assert {one for column in parsed.columns.values() for one in column} <= sent | days | ours
