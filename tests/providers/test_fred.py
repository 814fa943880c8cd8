"""FRED: vintages told from cut periods, missing values kept, real time in steps, errors told apart without quoting."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.market.symbols import is_instrument
from ingest.providers import fred
from ingest.providers.contract import Query
from ingest.providers.fred_parts.real_time import STEP_DAYS, with_params
from ingest.wire import Request
from tests.providers.payloads import FOLDER, answer, payload

START, END = datetime(2016, 1, 1, tzinfo=UTC), datetime(2016, 7, 1, tzinfo=UTC)
WINDOW = Query("observations", ("PAYEMS",), None, START, END)
POLL = Query("observations", ("PAYEMS",), None, None, END)
RECEIVED = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
NAMES = {path.stem for path in (FOLDER / "fred").glob("*.json")}
ALL_TIME = {"realtime_start": "1776-07-04", "realtime_end": "9999-12-31"}


def reply(body, request=None, *, status=200, headers=None, query=WINDOW, received=RECEIVED):
    """Return an answer to the request, by default the query's first, with a payload's or the given body."""
    body = payload("fred", body) if body in NAMES else body
    said = answer(body, status=status, headers=headers)
    return replace(said, request=request or fred.build(query)[0], sent_at=received, received_at=received)


def params_of(request, *names):
    params = dict(request.params)
    return {name: params[name] for name in names if name in params}


def real_time(request):
    return tuple(params_of(request, "realtime_start", "realtime_end").values())


def rows_of(parsed):
    return list(zip(*(parsed.columns[name] for name in ("ts", "vintage", "value")), strict=True))


def test_a_window_asks_for_every_vintage_of_its_dates_in_json():
    (request,) = fred.build(WINDOW)
    assert request.path == "/series/observations"
    assert request.params == (
        ("series_id", "PAYEMS"),
        ("file_type", "json"),
        ("observation_start", "2016-01-01"),
        ("observation_end", "2016-06-30"),
        ("realtime_start", "1776-07-04"),
        ("realtime_end", "9999-12-31"),
        ("sort_order", "asc"),
        ("limit", "100000"),
        ("offset", "0"),
    )
    assert (request.instruments, request.start, request.end) == (("PAYEMS",), START, END)


def test_a_poll_asks_for_what_was_published_lately_of_the_last_years_without_an_end():
    (request,) = fred.build(POLL)
    assert params_of(request, "observation_start", "observation_end") == {"observation_start": "2010-06-27"}
    assert real_time(request) == ("2015-05-28", "9999-12-31")
    assert (request.start, request.end) == (None, None)


def test_each_series_is_asked_for_by_itself():
    requests = fred.build(replace(WINDOW, instruments=("PAYEMS", "A.B", "PAYEMS")))
    assert [dict(request.params)["series_id"] for request in requests] == ["PAYEMS", "A_B"]
    assert [request.instruments for request in requests] == [("PAYEMS",), ("A.B",)]


def test_dates_are_those_whose_midnight_lies_in_the_window_and_a_window_without_one_asks_nothing():
    hour = timedelta(hours=1)
    (request,) = fred.build(replace(WINDOW, start=START + hour, end=END + hour))
    assert params_of(request, "observation_start", "observation_end") == {
        "observation_start": "2016-01-02",
        "observation_end": "2016-07-01",
    }
    assert fred.build(replace(WINDOW, start=START + hour, end=START + 2 * hour)) == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("bars", ("PAYEMS",), "1d", START, END), UnknownName),
        (Query("observations", ("EUR-USD",), None, START, END), FixRequest),
        (Query("observations", ("unrate",), None, START, END), FixRequest),
        (Query("observations", ("PAYEMS",), None, START), FixRequest),
        (Query("observations", ("PAYEMS",)), FixRequest),
    ],
)
def test_what_fred_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        fred.build(query)


def test_each_revision_is_a_row_of_its_own_whose_vintage_is_the_day_it_was_published():
    parsed = fred.parse(WINDOW, reply("vintages"))
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert set(parsed.columns["instrument"]) == {"PAYEMS"}
    assert rows_of(parsed) == [
        ("2016-04-01", "2016-05-06", "143915"),
        ("2016-04-01", "2016-06-03", "143856.0"),
        ("2016-04-01", "2016-07-08", "143877"),
        ("2016-05-01", "2016-06-03", "143894"),
        ("2016-05-01", "2016-07-08", "0.00000000000000000143888"),
        ("2016-06-01", "2016-07-08", None),
    ]


def test_what_was_known_when_the_asked_real_time_began_is_dropped_because_its_period_is_cut():
    request = with_params(fred.build(POLL)[0], realtime_start="2016-06-03")
    rows = rows_of(fred.parse(POLL, reply("vintages", request)))
    assert [row[1] for row in rows] == ["2016-05-06", "2016-07-08", "2016-07-08", "2016-07-08"]


def test_without_real_time_the_vintage_is_not_told_and_a_point_is_a_missing_value_that_is_kept():
    (request,) = fred.build(WINDOW)
    plain = fred.next_page(request, reply("not_archived", request, status=400))
    assert params_of(plain, *ALL_TIME) == {}
    assert [name for name, _ in plain.params] == [name for name, _ in request.params if name not in ALL_TIME]
    parsed = fred.parse(WINDOW, reply("observations", plain))
    assert rows_of(parsed) == [("2024-05-01", None, "4.0"), ("2024-06-01", None, None)]
    assert fred.next_page(plain, reply("observations", plain)) is None


def test_pages_follow_by_the_offset_and_limit_that_the_answer_states(monkeypatch):
    monkeypatch.setattr(fred, "PAGE_ROWS", 5)
    (first,) = fred.build(WINDOW)
    second = fred.next_page(first, reply("vintages_first_page", first))
    assert dict(second.params) == dict(first.params) | {"offset": "2"}
    assert (second.instruments, second.start, second.end) == (first.instruments, first.start, first.end)
    body = payload("fred", "vintages_first_page").replace(b'"offset":0', b'"offset":2')
    third = fred.next_page(second, reply(body, second))
    assert dict(third.params)["offset"] == "4"
    last = payload("fred", "vintages_first_page").replace(b'"offset":0', b'"offset":4')
    assert fred.next_page(third, reply(last, third)) is None


def test_the_place_of_a_page_is_found_before_its_rows_or_after_them_and_never_in_them():
    page = json.loads(payload("fred", "vintages_first_page"))
    page["observations"][0]["value"] = '"offset":7'
    for body in (json.dumps(page), json.dumps({"observations": page.pop("observations"), **page})):
        request = fred.build(WINDOW)[0]
        assert dict(fred.next_page(request, reply(body, request)).params)["offset"] == "2"


def test_a_page_that_comes_again_ends_the_paging_and_is_bad_data():
    second = with_params(fred.build(WINDOW)[0], offset="2")
    assert fred.next_page(second, reply("vintages_first_page", second)) is None
    with pytest.raises(BadData, match="offset"):
        fred.parse(WINDOW, reply("vintages_first_page", second))


def test_more_vintages_than_an_answer_may_have_are_asked_for_in_steps_that_cover_all_time_once():
    (first,) = fred.build(WINDOW)
    refused = reply("too_many_vintages", first, status=400)
    assert fred.error_of(refused) is None
    assert fred.parse(WINDOW, refused).columns["ts"] == []
    step, steps = fred.next_page(first, refused), []
    while step is not None:
        steps.append(real_time(step))
        step = fred.next_page(step, reply("empty", step))
    assert steps[0] == ("1776-07-04", "1999-12-31")
    assert steps[-1][1] == "9999-12-31"
    assert [end for _, end in steps[:-1]] == [start for start, _ in steps[1:]]
    days = [date.fromisoformat(end) - date.fromisoformat(start) for start, end in steps[1:-1]]
    assert set(days) == {timedelta(days=STEP_DAYS)}
    assert RECEIVED.date() - date.fromisoformat(steps[-1][0]) < timedelta(days=1995)


@given(st.dates(date(2000, 1, 1), date(2150, 1, 1)))
def test_no_step_but_the_last_ends_after_yesterday_because_today_is_a_day_earlier_in_saint_louis(day):
    received = datetime(day.year, day.month, day.day, 1, tzinfo=UTC)
    (first,) = fred.build(WINDOW)
    step = fred.next_page(first, reply("too_many_vintages", first, status=400, received=received))
    while real_time(step)[1] != "9999-12-31":
        assert date.fromisoformat(real_time(step)[1]) < day
        step = fred.next_page(step, reply("empty", step, received=received))
    assert date.fromisoformat(real_time(step)[0]) < day


def test_a_step_goes_through_its_pages_before_the_next_begins_and_drops_what_the_step_before_has():
    step = with_params(fred.build(WINDOW)[0], realtime_start="2016-05-06", realtime_end="2021-10-17")
    following = fred.next_page(step, reply("vintages_first_page", step))
    assert (real_time(following), dict(following.params)["offset"]) == (real_time(step), "2")
    assert [row[1] for row in rows_of(fred.parse(WINDOW, reply("vintages_first_page", step)))] == ["2016-06-03"]
    following = fred.next_page(step, reply("vintages", step))
    assert (real_time(following), dict(following.params)["offset"]) == (("2021-10-17", "9999-12-31"), "0")


def test_a_step_before_the_archive_begins_has_no_rows_and_the_next_is_asked():
    step = with_params(fred.build(WINDOW)[0], realtime_end="1999-12-31")
    refused = reply("not_archived", step, status=400)
    assert fred.error_of(refused) is None
    assert fred.parse(WINDOW, refused).columns["ts"] == []
    assert real_time(fred.next_page(step, refused)) == ("1999-12-31", "2005-06-12")


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"realtime_start": "1999-12-31", "realtime_end": "2005-06-12"}, "too_many_vintages"),
        ({"realtime_start": "2025-01-01"}, "too_many_vintages"),
        (None, "not_archived"),
    ],
)
def test_where_there_is_nothing_else_to_ask_such_a_refusal_is_an_error(changed, name):
    (request,) = fred.build(WINDOW)
    if changed is None:
        request = replace(request, params=tuple(param for param in request.params if param[0] not in ALL_TIME))
    else:
        request = with_params(request, **changed)
    refused = reply(name, request, status=400)
    assert type(fred.error_of(refused)) is FixRequest
    assert fred.next_page(request, refused) is None


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait", "says"),
    [
        (400, "bad_key", {}, KeyRefused, None, "FRED_API_KEY"),
        (400, "no_key", {}, KeyRefused, None, "FRED_API_KEY"),
        (400, "no_series", {}, UnknownName, None, "PAYEMS"),
        (400, "bad_variable", {}, FixRequest, None, "HTTP 400"),
        (403, "bad_variable", {}, FixRequest, None, "HTTP 403"),
        (404, "bad_variable", {}, FixRequest, None, "HTTP 404"),
        (423, "bad_variable", {}, TryAgain, None, "locked"),
        (429, "rate_limit", {}, SlowDown, 20.0, "slow down"),
        (429, "rate_limit", {"retry-after": "3"}, SlowDown, 3.0, "slow down"),
        (429, "rate_limit", {"retry-after": "Wed, 25 Nov 2026 03:01:00 GMT"}, SlowDown, None, "slow down"),
        (500, "server_error", {}, TryAgain, None, "HTTP 500"),
        (503, "server_error", {}, TryAgain, None, "HTTP 503"),
    ],
)
def test_status_and_text_say_what_to_do(status, name, headers, kind, wait, says):
    error = fred.error_of(reply(name, status=status, headers=headers))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("fred", status, wait)
    assert says in str(error)


def test_a_bad_key_of_a_search_and_of_a_bad_request_in_xml_are_errors_too():
    search = fred.catalogue("rate")
    assert type(fred.error_of(reply("bad_key", search, status=400))) is KeyRefused
    assert type(fred.error_of(reply("no_series", search, status=400))) is FixRequest
    xml = '<?xml version="1.0" ?><error code="400" message="Bad Request."/>'
    assert type(fred.error_of(reply(xml, status=400))) is FixRequest


@given(
    st.sampled_from(["api_key", "series does not exist", "exceeds the maximum number of vintage dates", "in ALFRED"]),
    st.sampled_from([200, 400, 403, 404, 423, 429, 500]),
)
def test_no_word_of_an_error_body_reaches_a_message(text, status):
    body = json.dumps({"error_code": status, "error_message": f"sEcReT {text} sEcReT"})
    error = fred.error_of(reply(body, with_params(fred.build(WINDOW)[0], realtime_start="2001-01-01"), status=status))
    assert "sEcReT" not in f"{error} {error!r} {getattr(error, '__dict__', '')}"


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"", TryAgain), (b"<html></html>", TryAgain), (payload("fred", "vintages")[:300], TryAgain), (b"OK", BadData)],
)
def test_a_body_that_can_not_be_whole_json_is_an_error(body, kind):
    assert type(fred.error_of(reply(body))) is kind


def test_documented_pages_are_no_errors_and_an_empty_one_is_the_last():
    for name in ("observations", "vintages", "vintages_first_page", "empty", "search"):
        assert fred.error_of(reply(name)) is None
    assert fred.parse(WINDOW, reply("empty")).columns["ts"] == []
    assert fred.next_page(fred.build(WINDOW)[0], reply("empty")) is None


@pytest.mark.parametrize(
    "row",
    [None, 1, [], {}, {"date": "2016-01-01", "value": "1"}, {"date": "2016-01-01", "realtime_start": "2016-02-01"},
     {"date": None, "realtime_start": "2016-02-01", "value": "1"},
     {"date": "2016-01-01", "realtime_start": "2016-02-01", "value": None},
     {"date": "2016-01-01", "realtime_start": "2016-02-01", "value": {}}],
)  # fmt: skip
def test_a_row_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    page = json.loads(payload("fred", "vintages"))
    page["observations"].insert(1, row)
    parsed = fred.parse(WINDOW, reply(json.dumps(page)))
    assert len(parsed.columns["ts"]) == 6
    assert [(one.rule, one.instrument) for one in parsed.rejects] == [("wrong_shape", "PAYEMS")]


@pytest.mark.parametrize("body", ["[]", "{}", "null", '{"observations":{}}', '{"observations":[]}', "{"])
def test_a_page_that_is_no_page_is_bad_data(body):
    with pytest.raises(BadData) as bad:
        fred.parse(WINDOW, reply(body))
    assert bad.value.rule == "unparsable_page"


@pytest.mark.parametrize("missing", ["count", "offset", "limit"])
def test_a_page_that_does_not_say_where_it_stands_is_bad_data_since_rows_could_be_lost(missing):
    page = json.loads(payload("fred", "vintages_first_page"))
    del page[missing]
    with pytest.raises(BadData, match="count, offset and limit"):
        fred.parse(WINDOW, reply(json.dumps(page)))
    assert fred.next_page(fred.build(WINDOW)[0], reply(json.dumps(page))) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_whatever_is_wrong_with_a_page_its_rows_stood_in_it_or_it_is_rejected(data):
    page = json.loads(payload("fred", "vintages"))
    holder = data.draw(st.sampled_from([page, *page["observations"]]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(JSON)
    body = json.dumps(page)
    cut = data.draw(st.none() | st.integers(0, len(body)))
    said = reply(body[:cut])
    fred.error_of(said)
    fred.next_page(said.request, said)
    try:
        parsed = fred.parse(WINDOW, said)
    except BadData:
        return
    for day, vintage, value in rows_of(parsed):
        for text in (day, vintage, "." if value is None else value):
            assert json.dumps(text)[1:-1] in body


def test_a_search_lists_the_series_that_our_grammar_can_spell_and_nothing_lists_all():
    request = fred.catalogue("unemployment rate")
    assert request == Request(
        "/series/search", (("search_text", "unemployment rate"), ("file_type", "json"), ("limit", "1000"))
    )
    assert fred.listed(reply("search", request)) == ["UNRATE", "UNRATENSA"]
    assert fred.catalogue() is None


@pytest.mark.parametrize("body", ["[]", "{}", '{"seriess":{}}', '{"seriess":[1]}', '{"seriess":[{"id":1}]}', "["])
def test_a_list_of_series_that_is_none_is_bad_data(body):
    with pytest.raises(BadData):
        fred.listed(reply(body, fred.catalogue("x")))


@given(st.from_regex(r"[A-Z0-9]+(_[A-Z0-9]+)*", fullmatch=True).filter(lambda text: len(text) <= 40))
def test_every_id_without_hyphens_has_an_instrument_and_comes_back_from_it(native):
    instrument = fred.instrument_of(native)
    assert is_instrument(instrument)
    assert fred.native_symbol(instrument) == native


@pytest.mark.parametrize("native", ["PCUOMFG--OMFG--", "A-B", "A.B", "a", "", "_A", "A__B"])
def test_an_id_that_our_grammar_can_not_spell_has_no_instrument(native):
    assert fred.instrument_of(native) is None
