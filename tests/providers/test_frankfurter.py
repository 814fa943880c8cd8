"""Frankfurter: dates are the answer's own, digits are kept, "not found" is told apart, windows go by quarters."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import frankfurter
from ingest.providers.contract import Query
from tests.providers.payloads import answer, payload

DAY = timedelta(days=1)
START = datetime(2026, 1, 2, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RANGE = Query("observations", ("EUR-USD",), None, START, START + 4 * DAY)
LATEST = Query("observations", ("USD-EUR", "USD-GBP"))
EARLY = Query(
    "observations",
    ("EUR-JPY", "EUR-USD", "EUR-IDR"),
    None,
    datetime(1999, 1, 4, tzinfo=UTC),
    datetime(1999, 1, 6, tzinfo=UTC),
)


def reply(name, query, *, status=200, headers=None, received=NOW):
    body = (
        name if isinstance(name, bytes) else payload("frankfurter", name) if isinstance(name, str) else json.dumps(name)
    )
    said = answer(body, status=status, headers=headers)
    return replace(said, request=frankfurter.build(query)[0], received_at=received)


def test_pairs_of_one_base_go_into_one_request():
    requests = frankfurter.build(replace(RANGE, instruments=("EUR-USD", "GBP-JPY", "EUR-CHF", "EUR-USD")))
    assert [(r.path, dict(r.params), r.instruments) for r in requests] == [
        ("/2026-01-02..2026-01-05", {"base": "EUR", "symbols": "USD,CHF"}, ("EUR-USD", "EUR-CHF")),
        ("/2026-01-02..2026-01-05", {"base": "GBP", "symbols": "JPY"}, ("GBP-JPY",)),
    ]


def test_a_window_is_asked_for_by_quarters_that_leave_no_day_out_and_repeat_none():
    start, end = datetime(2025, 1, 1, 12, tzinfo=UTC), datetime(2025, 12, 31, 1, tzinfo=UTC)
    requests = frankfurter.build(replace(RANGE, start=start, end=end))
    bounds = [[datetime.fromisoformat(day) for day in r.path[1:].split("..")] for r in requests]
    assert (bounds[0][0].date().isoformat(), bounds[-1][1].date().isoformat()) == ("2025-01-02", "2025-12-31")
    assert all(late - early < 85 * DAY for early, late in bounds)
    assert all(following[0] - before[1] == DAY for before, following in pairwise(bounds))
    assert (requests[0].start, requests[-1].end) == (start, end)


def test_a_poll_reaches_back_ten_days_and_one_without_an_end_asks_for_the_latest():
    (poll,) = frankfurter.build(Query("observations", ("EUR-USD",), None, None, NOW))
    assert (poll.path, poll.start, poll.end) == ("/2026-11-14..2026-11-24", None, None)
    (latest,) = frankfurter.build(LATEST)
    assert (latest.path, dict(latest.params)) == ("/latest", {"base": "USD", "symbols": "EUR,GBP"})


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("bars", ("EUR-USD",), "1d", START, NOW), UnknownName),
        (Query("observations", ("EUR-USD",), None, START), FixRequest),
        (Query("observations", ("EUR",), None, START, NOW), FixRequest),
        (Query("observations", ("EUR-EUR",), None, START, NOW), FixRequest),
        (Query("observations", ("EUR-USDT",), None, START, NOW), FixRequest),
        (Query("observations", ("eur-usd",), None, START, NOW), FixRequest),
    ],
)
def test_what_it_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        frankfurter.build(query)


def test_a_range_is_a_row_for_each_date_of_its_own():
    parsed = frankfurter.parse(RANGE, reply("range", RANGE))
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["EUR-USD", "EUR-USD"],
        "ts": ["2026-01-02", "2026-01-05"],
        "value": ["1.17", "1.171"],
    }


def test_every_digit_is_kept_and_a_currency_that_is_left_out_has_no_row():
    parsed = frankfurter.parse(EARLY, reply("range_digits", EARLY))
    assert list(zip(*parsed.columns.values(), strict=True)) == [
        ("EUR-IDR", "1999-01-04", "9.433610e+03"),
        ("EUR-JPY", "1999-01-04", "133.73"),
        ("EUR-USD", "1999-01-04", "1.1789"),
        ("EUR-JPY", "1999-01-05", "130.96"),
        ("EUR-USD", "1999-01-05", "1.179000000000000000001"),
    ]


def test_a_weekend_is_answered_with_the_friday_before_whose_date_is_believed():
    asked_on_sunday = reply("latest", LATEST, received=datetime(2026, 1, 11, tzinfo=UTC))
    parsed = frankfurter.parse(LATEST, asked_on_sunday)
    assert parsed.columns["ts"] == ["2026-01-05", "2026-01-05"]
    assert parsed.columns["instrument"] == ["USD-EUR", "USD-GBP"]


@pytest.mark.parametrize(("start", "days"), [(START + DAY, ["2026-01-05"]), (START + 4 * DAY, [])])
def test_a_start_that_was_moved_back_to_a_business_day_brings_no_row_before_the_window(start, days):
    query = replace(RANGE, start=start, end=start + 4 * DAY)
    assert frankfurter.parse(query, reply("range", query)).columns["ts"] == days


def test_a_window_without_a_midnight_has_no_rate():
    query = replace(RANGE, start=START + timedelta(hours=1), end=START + timedelta(hours=9))
    (request,) = frankfurter.build(query)
    assert request.path == "/2026-01-03..2026-01-03"
    page = {"amount": 1.0, "base": "EUR", "rates": {"2026-01-02": {"USD": 1}, "2026-01-03": {"USD": 2}}}
    assert frankfurter.parse(query, reply(page, query)).columns["ts"] == []


@pytest.mark.parametrize(
    "page",
    [
        {}, [], None, {"rates": {}}, {"base": "USD", "rates": {}}, {"base": "EUR", "rates": []},
        {"base": "EUR", "amount": 10.0, "rates": {}}, {"base": "EUR", "date": 7, "rates": {}},
    ],
)  # fmt: skip
def test_a_page_of_another_base_or_amount_or_none_is_bad_data(page):
    with pytest.raises(BadData) as bad:
        frankfurter.parse(RANGE, reply(page, RANGE))
    assert bad.value.rule == "unparsable_page"


def test_a_rate_of_wrong_shape_is_rejected_and_the_others_are_kept():
    rates = {
        "2026-01-02": {"USD": 1, "CHF": 2},
        "2026-01-03": [],
        "soon": {},
        "2026-01-04": {"USD": []},
        "2026-01-05": {"USD": None},
    }
    parsed = frankfurter.parse(RANGE, reply({"base": "EUR", "rates": rates}, RANGE))
    assert (parsed.columns["ts"], parsed.columns["value"]) == (["2026-01-02", "2026-01-05"], ["1", None])
    assert [one.rule for one in parsed.rejects] == ["unknown_symbol"] + ["wrong_shape"] * 3


FUTURE, BEFORE = (
    replace(RANGE, start=NOW + 30 * DAY, end=NOW + 40 * DAY),
    replace(EARLY, start=datetime(1990, 1, 1, tzinfo=UTC)),
)


@pytest.mark.parametrize(
    ("names", "query", "kind"),
    [
        (("EUR-UAH",), RANGE, UnknownName),
        (("EUR-UAH", "EUR-USD"), RANGE, FixRequest),
        (("EUR-RUB",), RANGE, type(None)),
        (("RUB-USD",), RANGE, type(None)),
        (("EUR-USD",), FUTURE, type(None)),
        (("EUR-USD",), BEFORE, type(None)),
        (("EUR-USD",), RANGE, TryAgain),
        (("EUR-RUB", "EUR-USD"), RANGE, TryAgain),
        (("EUR-USD",), LATEST, TryAgain),
    ],
)
def test_not_found_is_an_unknown_currency_or_a_time_without_rates_or_an_empty_database(names, query, kind):
    query = replace(query, instruments=names)
    said = reply("not_found", query, status=404)
    error = frankfurter.error_of(said)
    assert type(error) is kind
    assert error is None or (error.provider, error.status) == ("frankfurter", 404)
    assert frankfurter.parse(query, said).columns["ts"] == []


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait"),
    [
        (422, "bad_pair", {}, FixRequest, None),
        (422, "invalid_date", {}, FixRequest, None),
        (429, b"error code: 1015", {}, SlowDown, None),
        (429, b"", {"retry-after": "9"}, SlowDown, 9.0),
        (500, "server_error", {}, TryAgain, None),
        (503, b"", {}, TryAgain, None),
        (404, b"<html></html>", {}, FixRequest, None),
        (200, b"<html></html>", {}, TryAgain, None),
        (200, payload("frankfurter", "range")[:60], {}, TryAgain, None),
        (200, b"error", {}, BadData, None),
        (200, "range", {}, type(None), None),
        (200, "latest", {}, type(None), None),
    ],
)
def test_the_status_says_what_to_do(status, name, headers, kind, wait):
    error = frankfurter.error_of(reply(name, RANGE, status=status, headers=headers))
    assert type(error) is kind
    assert error is None or (error.provider, error.status, error.retry_after_s) == ("frankfurter", status, wait)


def test_an_answer_is_whole_and_no_key_is_needed():
    said = reply("range", RANGE)
    assert frankfurter.next_page(said.request, said) is None
    assert frankfurter.facts.key is None


def test_any_currency_may_be_the_base_of_a_listed_pair():
    listed = frankfurter.listed(reply("currencies", RANGE))
    assert listed == ["AUD-EUR", "AUD-USD", "EUR-AUD", "EUR-USD", "USD-AUD", "USD-EUR"]
    for name in listed:
        assert frankfurter.instrument_of(frankfurter.native_symbol(name)) == name
    for body in ([], {}, {"message": "not found"}, {"EUR": 7}):
        with pytest.raises(BadData):
            frankfurter.listed(reply(body, RANGE))


CODES = st.from_regex(r"[A-Z]{3}", fullmatch=True)


@given(CODES, CODES)
def test_a_pair_comes_back_from_its_native_symbol(base, code):
    if base != code:
        assert frankfurter.instrument_of(frankfurter.native_symbol(f"{base}-{code}")) == f"{base}-{code}"


@given(st.text(max_size=9))
def test_any_other_text_is_no_native_symbol(text):
    found = frankfurter.instrument_of(text)
    assert found is None or frankfurter.native_symbol(found) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["USD", "2026-01-02", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


def texts_of(value):
    """Return every scalar of a document as the text it has there."""
    if isinstance(value, dict):
        return {text for one in value.values() for text in texts_of(one)}
    return {text for one in value for text in texts_of(one)} if isinstance(value, list) else {str(value)}


@given(st.data(), st.sampled_from([("range", RANGE), ("latest", LATEST), ("range_digits", EARLY)]), JSON)
def test_a_documented_page_with_any_part_replaced_gives_rows_rejects_or_bad_data(data, documented, value):
    name, query = documented
    document = json.loads(payload("frankfurter", name), parse_float=str)
    part, key = document, data.draw(st.sampled_from(list(document)))
    while isinstance(part[key], dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part)))
    part[key] = value
    said = reply(document, query)
    assert isinstance(frankfurter.error_of(said), TickfarmError | None)
    try:
        parsed = frankfurter.parse(query, said)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
    sent = texts_of(json.loads(said.body, parse_float=str, parse_int=str, parse_constant=str))
    assert {text for text in parsed.columns["value"] if text is not None} <= sent


@given(st.sampled_from([("range", RANGE), ("latest", LATEST)]), st.integers(0, 200))
def test_a_page_cut_anywhere_is_bad_data(documented, length):
    body = payload("frankfurter", documented[0]).strip()
    if length < len(body):
        with pytest.raises(BadData):
            frankfurter.parse(documented[1], reply(body[:length], documented[1]))
