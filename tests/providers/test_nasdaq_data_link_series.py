"""Nasdaq Data Link's time-series datasets: a column by its name, nulls kept, what does not exist told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.market.symbols import is_instrument
from ingest.providers import nasdaq_data_link as nasdaq
from ingest.providers.contract import Query
from tests.providers.payloads import FOLDER, answer, payload

START, END = datetime(1968, 1, 2, tzinfo=UTC), datetime(1968, 1, 5, tzinfo=UTC)
GOLD = Query("observations", ("LBMA.GOLD.USDPM",), None, START, END)
NAMES = {path.stem for path in (FOLDER / "nasdaq_data_link").glob("*.json")}


def reply(body, *, instrument="LBMA.GOLD.USDPM", status=200):
    body = payload("nasdaq_data_link", body) if body in NAMES else body
    query = replace(GOLD, instruments=(instrument,))
    return replace(answer(body, status=status), request=nasdaq.build(query)[0])


def test_a_window_asks_for_its_days_ascending_and_a_poll_for_the_newest_rows():
    (request,) = nasdaq.build(GOLD)
    assert request.path == "/datasets/LBMA/GOLD/data.json"
    assert request.params == (("start_date", "1968-01-02"), ("end_date", "1968-01-04"), ("order", "asc"))
    assert (request.instruments, request.start, request.end) == (GOLD.instruments, START, END)
    (request,) = nasdaq.build(Query("observations", ("ODA.POILWTI.USD.VALUE",), None, None, END))
    assert request.path == "/datasets/ODA/POILWTI_USD/data.json"
    assert request.params == (("order", "desc"), ("limit", "100"))
    assert (request.start, request.end) == (None, None)


def test_dates_are_those_whose_midnight_lies_in_the_window_and_a_window_without_one_asks_nothing():
    hour = timedelta(hours=1)
    (request,) = nasdaq.build(replace(GOLD, start=START + hour, end=END + hour))
    assert request.params[:2] == (("start_date", "1968-01-03"), ("end_date", "1968-01-05"))
    assert nasdaq.build(replace(GOLD, start=START + hour, end=START + 2 * hour)) == []


@pytest.mark.parametrize(
    "query",
    [
        Query("observations", ("AAPL",), None, START, END),
        Query("observations", ("LBMA.GOLD",), None, START, END),
        Query("observations", ("EUR-USD",), None, START, END),
        Query("observations", ("LBMA.GOLD.USDPM",), None, START),
        Query("bars", ("LBMA.GOLD.USDPM",), "1d", START, END),
    ],
)
def test_what_is_no_column_of_a_dataset_is_refused_before_it_is_sent(query):
    with pytest.raises(FixRequest):
        nasdaq.build(query)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("USDAM", ["35.18", "35", "35.14"]),
        ("USDPM", [None, "35.160000000000000000001", "35.14"]),
        ("GBPAM", ["14.641", "1.12e+08", "14.603"]),
    ],
)
def test_the_documented_dataset_is_read_by_column_name_and_to_the_digit_and_nulls_are_kept(column, values):
    said = reply("gold", instrument=f"LBMA.GOLD.{column}")
    parsed = nasdaq.parse(GOLD, said)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": [f"LBMA.GOLD.{column}"] * 3,
        "ts": ["1968-01-02", "1968-01-03", "1968-01-04"],
        "vintage": [None] * 3,
        "value": values,
    }
    assert nasdaq.error_of(said) is None
    assert nasdaq.next_page(said.request, said) is None


def test_a_column_is_found_wherever_it_stands():
    page = json.loads(payload("nasdaq_data_link", "gold"))["dataset_data"]
    page["column_names"] = [page["column_names"][place] for place in (0, 2, 3, 1)]
    page["data"] = [["1968-01-02", None, 14.641, 35.18]]
    parsed = nasdaq.parse(GOLD, reply(json.dumps({"dataset_data": page}), instrument="LBMA.GOLD.USDAM"))
    assert parsed.columns["value"] == ["35.18"]


@pytest.mark.parametrize("column", ["USD", "YENAM", "DATE"])
def test_a_column_that_the_dataset_does_not_have_is_an_unknown_name(column):
    said = reply("gold", instrument=f"LBMA.GOLD.{column}")
    error = nasdaq.error_of(said)
    assert (type(error), error.kind, error.instrument) == (UnknownName, "instrument", f"LBMA.GOLD.{column}")
    with pytest.raises(BadData):
        nasdaq.parse(GOLD, said)


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (404, "no_dataset", UnknownName),
        (400, "bad_key", KeyRefused),
        (403, "not_subscribed", FixRequest),
        (422, "bad_column", FixRequest),
        (429, "daily_limit", SlowDown),
        (500, "gold", TryAgain),
        (200, '{"dataset_data":{"column_names":["Date","USD (PM)"', TryAgain),
    ],
)
def test_errors_are_those_of_tables_but_a_code_that_is_none_is_an_unknown_name(status, name, kind):
    assert type(nasdaq.error_of(reply(name, status=status))) is kind


@pytest.mark.parametrize(
    "row",
    [None, [], ["1968-01-02"], ["1968-01-02", 1], [1, 2, 3, 4], ["1968-01-02", 1, True, 2], ["1968-01-02", 1, []]],
)
def test_a_row_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    page = json.loads(payload("nasdaq_data_link", "gold"))
    page["dataset_data"]["data"].insert(1, row)
    parsed = nasdaq.parse(GOLD, reply(json.dumps(page)))
    assert parsed.columns["ts"] == ["1968-01-02", "1968-01-03", "1968-01-04"]
    assert [(one.rule, one.instrument) for one in parsed.rejects] == [("wrong_shape", "LBMA.GOLD.USDPM")]


@pytest.mark.parametrize(
    "body",
    [
        "[]", "{}", "null", '{"dataset":{}}', '{"dataset_data":[]}', '{"dataset_data":{"data":[]}}',
        '{"dataset_data":{"column_names":["Date","USD (PM)"],"data":{}}}',
        '{"dataset_data":{"column_names":["Date","USD (PM)","USD PM"],"data":[]}}',
        '{"dataset_data":{"column_names":"USD (PM)","data":[]}}',
    ],
)  # fmt: skip
def test_a_page_that_is_no_dataset_or_has_the_column_twice_is_bad_data(body):
    with pytest.raises(BadData) as bad:
        nasdaq.parse(GOLD, reply(body))
    assert bad.value.rule == "unparsable_page"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_whatever_is_wrong_with_a_dataset_its_rows_stood_in_it_or_it_is_rejected(data):
    page = json.loads(payload("nasdaq_data_link", "gold"))
    inner = page["dataset_data"]
    holder = data.draw(st.sampled_from([page, inner, inner["column_names"], inner["data"], *inner["data"]]))
    key = data.draw(st.sampled_from(sorted(holder)) if isinstance(holder, dict) else st.integers(0, len(holder) - 1))
    holder[key] = data.draw(JSON)
    body = json.dumps(page)
    cut = data.draw(st.none() | st.integers(0, len(body)))
    said = reply(body[:cut])
    nasdaq.error_of(said)
    assert nasdaq.next_page(said.request, said) is None
    try:
        parsed = nasdaq.parse(GOLD, said)
    except BadData:
        return
    for day, value in zip(parsed.columns["ts"], parsed.columns["value"], strict=True):
        assert json.dumps(day)[1:-1] in body
        assert value is None or json.dumps(value)[1:-1] in body


@given(st.from_regex(r"[A-Z0-9]+/[A-Z0-9]+(_[A-Z0-9]+)*/[A-Z0-9]+", fullmatch=True).filter(lambda text: len(text) < 41))
def test_every_column_of_a_dataset_has_an_instrument_and_comes_back_from_it(native):
    instrument = nasdaq.instrument_of(native)
    assert is_instrument(instrument)
    assert nasdaq.native_symbol(instrument) == native


@pytest.mark.parametrize(
    "native", ["LBMA/GOLD", "LBMA/GOLD/USD (AM)", "/GOLD/USD", "A/B/C/D", "A/B_/C", "A/B.C/D", "a/b/c"]
)
def test_what_is_no_column_of_a_dataset_has_no_instrument(native):
    assert nasdaq.instrument_of(native) is None


@given(st.from_regex(r"[A-Z0-9]{1,8}(_[A-Z0-9]{1,3})?", fullmatch=True))
def test_a_ticker_is_still_a_share(native):
    assert nasdaq.native_symbol(nasdaq.instrument_of(native)) == native
