"""Nasdaq Data Link: columns by name, digits kept, cursors followed, errors told apart without quoting them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.providers import nasdaq_data_link as nasdaq
from ingest.providers.contract import Query
from ingest.providers.nasdaq_data_link_parts import tables
from tests.providers.payloads import answer, payload

START, END = datetime(2018, 3, 1, tzinfo=UTC), datetime(2018, 3, 28, tzinfo=UTC)
SHARES = ("AAPL", "BRK.B")
QUERY = Query("bars", SHARES, "1d", START, END)
COLUMNS = [{"name": name} for name in ("ticker", "date", "open", "high", "low", "close", "volume", "adj_close")]


def page(rows, cursor=None):
    return json.dumps({"datatable": {"data": rows, "columns": COLUMNS}, "meta": {"next_cursor_id": cursor}})


def test_a_request_filters_by_ticker_and_date_and_chooses_its_columns(monkeypatch):
    monkeypatch.setattr(tables, "PAGE_ROWS", 7)
    (request,) = nasdaq.build(QUERY)
    assert request.path == "/datatables/WIKI/PRICES.json"
    assert request.params == (
        ("ticker", "AAPL,BRK_B"),
        ("date.gte", "2018-03-01"),
        ("date.lt", "2018-03-28"),
        ("qopts.columns", "ticker,date,open,high,low,close,volume,adj_close"),
        ("qopts.per_page", "7"),
    )
    assert (request.instruments, request.start, request.end) == (SHARES, START, END)


def test_dates_are_those_whose_midnight_lies_in_the_window():
    hour = timedelta(hours=1)
    params = dict(nasdaq.build(Query("bars", SHARES, "1d", START + hour, END + hour))[0].params)
    assert (params["date.gte"], params["date.lt"]) == ("2018-03-02", "2018-03-29")


def test_tickers_go_twenty_to_a_request_and_the_newest_rows_reach_back_ten_days():
    names = tuple(f"A{i}" for i in range(45))
    requests = nasdaq.build(Query("bars", names, "1d", end=END))
    assert [len(r.instruments) for r in requests] == [20, 20, 5]
    assert {r.start for r in requests} == {END - timedelta(days=10)}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("bars", ("BTC-USDT",), "1d", START, END), FixRequest),
        (Query("bars", SHARES, "1h", START, END), UnknownName),
        (Query("quotes", SHARES), UnknownName),
        (Query("bars", SHARES, "1d"), FixRequest),
    ],
)
def test_what_the_table_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        nasdaq.build(query)


def test_the_documented_table_is_read_by_column_name_and_to_the_digit():
    parsed = nasdaq.parse(QUERY, answer(payload("nasdaq_data_link", "prices"), instruments=SHARES))
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["AAPL", "AAPL", "BRK.B"],
        "ts": ["2018-03-26", "2018-03-27", "2018-03-27"],
        "open": ["168.07", "173.68", "200"],
        "high": ["173.1", "175.15", "201.50"],
        "low": ["166.44", "166.92", "199.25"],
        "close": ["172.77", "168.34", "200.10"],
        "volume": ["36272617.0", "1.12e+08", None],
        "adjusted_close": ["4.186662803811", "1234567890123456789", "0.000000000000000001"],
    }


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_every_json_number_keeps_its_text(numbers):
    cells = ",".join(map(str, numbers))
    body = page([]).replace('"data": []', f'"data": [["AAPL","2018-03-27",{cells}]]')
    parsed = nasdaq.parse(QUERY, answer(body, instruments=SHARES))
    names = ("open", "high", "low", "close", "volume", "adjusted_close")
    assert [parsed.columns[name] for name in names] == [[str(number)] for number in numbers]


@pytest.mark.parametrize(
    "row",
    [None, [], ["AAPL"], ["MSFT", "2018-03-27", *"123456"], [None, "2018-03-27", *"123456"], ["AAPL", None, *"123456"],
     ["AAPL", "2018-03-27", True, 1, 1, 1, 1, 1], ["AAPL", "2018-03-27", 1, 1, [], 1, 1, 1]],
)  # fmt: skip
def test_a_row_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    good = ["AAPL", "2018-03-26", 1, 2, 0.5, 1, 10, 1]
    parsed = nasdaq.parse(QUERY, answer(page([good, row, [*good, "more"]]), instruments=SHARES))
    assert parsed.columns["close"] == ["1", "1"]
    assert [r.rule for r in parsed.rejects] == ["wrong_shape"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        "null",
        page([])[:-1],
        page({"a": 1}),
        page([]).replace("adj_close", "other"),
        page([]).replace("next_cursor_id", "next"),
        page([]).replace("datatable", "dataset"),
    ],
)
def test_a_page_that_is_no_page_is_bad_data(body):
    with pytest.raises(BadData) as bad:
        nasdaq.parse(QUERY, answer(body, instruments=SHARES))
    assert bad.value.rule == "unparsable_page"


def test_an_empty_page_is_no_error_and_the_last():
    empty = answer(page([]), instruments=SHARES)
    assert nasdaq.parse(QUERY, empty).columns["ts"] == []
    assert nasdaq.error_of(empty) is None
    assert nasdaq.next_page(nasdaq.build(QUERY)[0], empty) is None


def test_the_next_page_is_the_same_request_with_the_answers_cursor():
    (first,) = nasdaq.build(QUERY)
    second = nasdaq.next_page(first, answer(payload("nasdaq_data_link", "prices_first_page")))
    assert second.params == (*first.params, ("qopts.cursor_id", "djFfMTIzXzE1MjI=+"))
    assert (second.instruments, second.start, second.end) == (first.instruments, first.start, first.end)
    third = nasdaq.next_page(second, answer(page([], "c2")))
    assert third.params == (*first.params, ("qopts.cursor_id", "c2"))
    assert nasdaq.next_page(third, answer(payload("nasdaq_data_link", "prices"))) is None


@given(st.text(min_size=1), st.booleans())
def test_any_cursor_is_found_wherever_the_page_has_it(cursor, meta_first):
    parts = {"datatable": {"data": [['"next_cursor_id": "no"']]}, "meta": {"next_cursor_id": cursor}}
    body = json.dumps(dict(reversed(parts.items())) if meta_first else parts)
    (first,) = nasdaq.build(QUERY)
    assert dict(nasdaq.next_page(first, answer(body)).params)["qopts.cursor_id"] == cursor


def test_a_cursor_that_stands_still_ends_the_paging_and_is_bad_data():
    (first,) = nasdaq.build(QUERY)
    second = nasdaq.next_page(first, answer(page([], "c1")))
    stuck = answer(page([], "c1"), instruments=SHARES, params=second.params)
    assert nasdaq.next_page(second, stuck) is None
    with pytest.raises(BadData, match="next_cursor_id"):
        nasdaq.parse(QUERY, stuck)


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait", "says"),
    [
        (429, "daily_limit", {"retry-after": "5"}, SlowDown, None, "daily"),
        (200, "daily_limit", {}, SlowDown, None, "daily"),
        (429, "minute_limit", {}, SlowDown, 600.0, "too many calls"),
        (429, "minute_limit", {"retry-after": "3"}, SlowDown, 3.0, "too many calls"),
        (429, "prices", {"retry-after": "3"}, SlowDown, 3.0, "slow down"),
        (400, "bad_key", {}, KeyRefused, None, "NASDAQ_DATA_LINK_API_KEY"),
        (200, "bad_key", {}, KeyRefused, None, "NASDAQ_DATA_LINK_API_KEY"),
        (403, "not_subscribed", {}, FixRequest, None, "subscription"),
        (422, "bad_column", {}, FixRequest, None, "column"),
        (500, "bad_column", {}, TryAgain, None, "HTTP 500"),
        (404, "prices", {}, FixRequest, None, "HTTP 404"),
    ],
)
def test_status_and_code_say_what_to_do(status, name, headers, kind, wait, says):
    body = payload("nasdaq_data_link", name)
    error = nasdaq.error_of(answer(body, status=status, headers=headers, instruments=SHARES))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("nasdaq_data_link", status, wait)
    assert says in str(error)


@given(st.sampled_from("LMXAPSCZ?"), st.sampled_from([200, 400, 403, 404, 422, 429, 500]))
def test_no_word_of_an_error_body_reaches_a_message(family, status):
    body = {"quandl_error": {"code": f"QE{family}x01", "message": "key sEcReT-kEy is over 50 calls per day"}}
    error = nasdaq.error_of(answer(json.dumps(body), status=status, instruments=SHARES))
    assert "sEcReT" not in f"{error} {error!r} {vars(error)}"


@pytest.mark.parametrize("code", ["QELx06", "QELx07", "QELx08"])
def test_an_answer_that_would_be_too_large_is_to_be_asked_for_in_parts(code):
    body = json.dumps({"quandl_error": {"code": code, "message": "too many rows"}})
    assert type(nasdaq.error_of(answer(body, status=422, instruments=SHARES))) is FixRequest


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, "<html>Access denied</html>", TryAgain),
        (200, "<html>Access denied</html>", TryAgain),
        (200, payload("nasdaq_data_link", "prices")[:200], TryAgain),
        (200, "", TryAgain),
        (200, "OK", BadData),
    ],
)
def test_a_body_that_can_not_be_whole_json_is_an_error(status, body, kind):
    assert type(nasdaq.error_of(answer(body, status=status))) is kind


def test_documented_pages_are_no_errors():
    for name in ("prices", "prices_first_page"):
        assert nasdaq.error_of(answer(payload("nasdaq_data_link", name))) is None
