"""Nasdaq Data Link's table of retail trading: a ticker's column by its name, pages followed, strangers rejected."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import BadData, FixRequest, UnknownName
from ingest.providers import nasdaq_data_link as nasdaq
from ingest.providers.contract import Query
from tests.providers.payloads import answer, payload

START, END = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
ACTIVITY = Query("observations", ("NDAQ.RTAT10.TSLA.ACTIVITY",), None, START, END)
SENTIMENT = replace(ACTIVITY, instruments=("NDAQ.RTAT10.TSLA.SENTIMENT",))


def parse(query, body=None):
    said = answer(payload("nasdaq_data_link", "retail") if body is None else json.dumps(body))
    return nasdaq.parse(query, replace(said, request=nasdaq.build(query)[0]))


def test_a_column_is_asked_for_by_ticker_dates_and_name_beside_datasets_of_their_own_address():
    first, second, series = nasdaq.build(
        replace(ACTIVITY, instruments=("LBMA.GOLD.USDPM", *ACTIVITY.instruments, *SENTIMENT.instruments))
    )
    assert first.path == second.path == "/datatables/NDAQ/RTAT10.json"
    assert dict(first.params) == {
        "ticker": "TSLA",
        "date.gte": "2024-06-01",
        "date.lt": "2024-07-01",
        "qopts.columns": "date,ticker,activity",
        "qopts.per_page": "10000",
    }
    assert dict(second.params)["qopts.columns"] == "date,ticker,sentiment"
    assert (first.instruments, first.start, first.end) == (ACTIVITY.instruments, START, END)
    assert (series.path, series.instruments) == ("/datasets/LBMA/GOLD/data.json", ("LBMA.GOLD.USDPM",))


def test_a_poll_reaches_back_ten_days_from_now():
    (request,) = nasdaq.build(replace(ACTIVITY, start=None))
    assert (request.start, request.end) == (END - timedelta(days=10), END)


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (ACTIVITY, ["0.085", "0.0850000000000000000001", None, "9e-2"]),
        (SENTIMENT, ["2", "-3", "1.0", None]),
    ],
)
def test_the_documented_table_is_read_by_column_name_and_to_the_digit_and_nulls_are_kept(query, values):
    parsed = parse(query)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": list(query.instruments) * 4,
        "ts": ["2024-06-26", "2024-06-25", "2024-06-24", "2024-06-21"],
        "vintage": [None] * 4,
        "value": values,
    }


def test_columns_may_stand_in_another_order_and_be_more():
    page = json.loads(payload("nasdaq_data_link", "retail"), parse_float=str)
    page["datatable"]["columns"] = [{"name": name} for name in ("rank", "activity", "ticker", "date")]
    page["datatable"]["data"] = [["1", "0.5", "TSLA", "2024-06-26"]]
    assert parse(ACTIVITY, page).columns["value"] == ["0.5"]


@pytest.mark.parametrize(
    "row", [None, [], ["2024-06-26", "AAPL", 1, 1], ["26.06.2024", "TSLA", 1, 1], [20240626, "TSLA", 1, 1],
            ["2024-06-26", "TSLA", [], 1], ["2024-06-26", "TSLA", 1]],
)  # fmt: skip
def test_a_row_of_another_ticker_or_shape_is_rejected_and_the_others_are_kept(row):
    page = json.loads(payload("nasdaq_data_link", "retail"))
    page["datatable"]["data"][1] = row
    parsed = parse(ACTIVITY, page)
    assert parsed.columns["ts"] == ["2024-06-26", "2024-06-24", "2024-06-21"]
    assert [r.rule for r in parsed.rejects] == ["wrong_shape"]


def test_a_table_without_the_asked_column_is_no_page_and_its_cursor_leads_to_the_next():
    page = json.loads(payload("nasdaq_data_link", "retail"))
    said = replace(answer(json.dumps(page | {"meta": {"next_cursor_id": "abc"}})), request=nasdaq.build(ACTIVITY)[0])
    following = nasdaq.next_page(said.request, said)
    assert following.params == (*said.request.params, ("qopts.cursor_id", "abc"))
    assert nasdaq.next_page(following, said) is None
    with pytest.raises(BadData, match="next_cursor_id"):
        nasdaq.parse(ACTIVITY, replace(said, request=following))
    page["datatable"]["columns"][2]["name"] = "share"
    with pytest.raises(BadData, match="activity"):
        parse(ACTIVITY, page)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("NDAQ.RTAT10.TSLA.VOLUME", UnknownName),
        ("NDAQ.RTAT10.BRK.B.ACTIVITY", FixRequest),
        ("NDAQ.RTAT10.ACTIVITY", FixRequest),
    ],
)
def test_what_the_table_does_not_have_is_refused_before_it_is_sent(name, error):
    with pytest.raises(error):
        nasdaq.build(replace(ACTIVITY, instruments=(name,)))
    with pytest.raises(FixRequest):
        nasdaq.build(Query("bars", (name,), "1d", START, END))


def test_a_columns_name_is_spelt_both_ways_and_no_dataset_takes_it():
    assert nasdaq.native_symbol("NDAQ.RTAT10.TSLA.ACTIVITY") == "NDAQ/RTAT10/TSLA/activity"
    assert nasdaq.instrument_of("NDAQ/RTAT10/TSLA/activity") == "NDAQ.RTAT10.TSLA.ACTIVITY"
    for other in ("NDAQ/RTAT10/TSLA/volume", "NDAQ/RTAT10/TSLA", "NDAQ/RTAT11/TSLA/activity"):
        assert nasdaq.instrument_of(other) is None
    assert nasdaq.native_symbol("NDAQ.RTAT10") == "NDAQ_RTAT10"
