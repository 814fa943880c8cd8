"""FRED in the sandbox: real-time periods, vintages, refusals and limits, held against its documentation."""

from __future__ import annotations

import csv
import importlib.resources
import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.fred import SANDBOX_KEY, Fred
from sandbox.fred_series import SERIES, FredMarket

NOW_S = datetime(2026, 11, 24, 18, tzinfo=UTC).timestamp()
TODAY = date(2026, 11, 24)
OBSERVATIONS = "/series/observations"
ALL_TIME = {"realtime_start": "1776-07-04", "realtime_end": "9999-12-31"}


@pytest.fixture(scope="module")
def loaded():
    return Fred(7)


@pytest.fixture
def dialect(loaded):
    loaded.limits |= {"requests_per_minute": 120, "observation_rows": 100_000}
    loaded.forget_spending()
    return loaded


def ask(dialect, path=OBSERVATIONS, *, now_s=NOW_S, **query):
    texts = {"api_key": SANDBOX_KEY, "file_type": "json"} | query
    texts = {name: text for name, text in texts.items() if text is not None}
    said = dialect.answer(Request(path, texts, {}, "127.0.0.1", now_s))
    return said if isinstance(said, Answer) else said()


def read(dialect, path=OBSERVATIONS, **query):
    answer = ask(dialect, path, **query)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def refusal(dialect, path=OBSERVATIONS, **query):
    answer = ask(dialect, path, **query)
    body = json.loads(answer.body)
    assert body["error_code"] == answer.status
    return answer.status, body["error_message"]


def test_an_answer_has_the_documented_head_and_rows_of_text(dialect):
    body = read(dialect, series_id="UNRATENSA", observation_start="2016-11-01")
    rows = body.pop("observations")
    assert body == {
        "realtime_start": "2026-11-24",
        "realtime_end": "2026-11-24",
        "observation_start": "2016-11-01",
        "observation_end": "9999-12-31",
        "units": "lin",
        "output_type": 1,
        "file_type": "json",
        "order_by": "observation_date",
        "sort_order": "asc",
        "count": 2,
        "offset": 0,
        "limit": 100_000,
    }
    today = {"realtime_start": "2026-11-24", "realtime_end": "2026-11-24"}
    assert rows == [today | {"date": "2016-11-01", "value": "4.4"}, today | {"date": "2016-12-01", "value": "4.5"}]


def test_the_unemployment_rate_is_the_wheels_letter_by_letter(dialect):
    text = (importlib.resources.files("bokeh_sampledata") / "_data" / "unemployment1948.csv").read_text()
    expected = [cell for line in csv.reader(text.splitlines()[1:]) for cell in line[1:13]]
    rows = read(dialect, series_id="UNRATENSA")["observations"]
    assert [row["value"] for row in rows] == expected
    assert [row["date"] for row in (rows[0], rows[-1])] == ["1948-01-01", "2016-12-01"]


def test_with_all_of_real_time_the_same_date_comes_once_for_each_value_and_the_periods_adjoin(dialect):
    rows = read(dialect, series_id="GDPC1", observation_start="2010-01-01", **ALL_TIME)["observations"]
    by_date = {}
    for row in rows:
        by_date.setdefault(row["date"], []).append(row)
    assert max(map(len, by_date.values())) == 6
    for periods in by_date.values():
        assert periods[-1]["realtime_end"] == "9999-12-31"
        for one, following in pairwise(periods):
            next_day = date.fromisoformat(one["realtime_end"]) + timedelta(days=1)
            assert (following["realtime_start"], following["value"] != one["value"]) == (next_day.isoformat(), True)
    assert list(by_date) == sorted(by_date)


def test_periods_are_cut_to_the_asked_real_time(dialect):
    asked = {"realtime_start": "2016-06-29", "realtime_end": "2016-07-29"}
    rows = read(dialect, series_id="INDPRO", observation_start="2015-01-01", **asked)["observations"]
    assert {row["realtime_start"] for row in rows} == {"2016-06-29", "2016-07-16"}
    assert {row["realtime_end"] for row in rows} == {"2016-07-15", "2016-07-29"}
    revised = [row["date"] for row in rows if row["realtime_start"] == "2016-07-16"]
    assert revised == [f"2016-0{month}-01" for month in range(1, 7)]


def test_what_was_known_on_a_day_is_what_that_day_shows_ever_after(dialect):
    day = {"realtime_start": "2019-03-01", "realtime_end": "2019-03-01"}
    then = datetime(2019, 3, 1, 18, tzinfo=UTC).timestamp()
    on_the_day = read(dialect, series_id="PAYEMS", now_s=then, observation_start="2014-01-01")["observations"]
    today = read(dialect, series_id="PAYEMS", observation_start="2014-01-01", **day)["observations"]
    assert on_the_day == today
    assert today != read(dialect, series_id="PAYEMS", observation_start="2014-01-01")["observations"][: len(today)]


def test_pages_joined_are_the_whole_and_descending_is_the_reverse(dialect):
    query = {"series_id": "UNRATE", "observation_start": "2000-01-01", **ALL_TIME}
    whole = read(dialect, **query)
    parts = [read(dialect, **query, limit="300", offset=str(at)) for at in range(0, whole["count"], 300)]
    assert [row for part in parts for row in part["observations"]] == whole["observations"]
    assert {(part["count"], part["limit"]) for part in parts} == {(whole["count"], 300)}
    assert read(dialect, **query, sort_order="desc")["observations"] == whole["observations"][::-1]
    dialect.limits["observation_rows"] = 10
    page = read(dialect, **query)
    assert (page["limit"], len(page["observations"])) == (10, 10)


def test_holidays_are_listed_as_missing(dialect):
    rows = read(dialect, series_id="DGS10", observation_start="2025-12-24", observation_end="2025-12-26")
    assert [(row["date"], row["value"] == ".") for row in rows["observations"]] == [
        ("2025-12-24", False),
        ("2025-12-25", True),
        ("2025-12-26", False),
    ]


def test_a_day_begins_at_midnight_in_saint_louis(dialect):
    for hour, day in ((5, "2026-11-23"), (6, "2026-11-24")):
        at = datetime(2026, 11, 24, hour, 30, tzinfo=UTC).timestamp()
        assert read(dialect, series_id="UNRATE", now_s=at)["realtime_start"] == day


def test_vintage_dates_are_those_on_which_something_was_published(dialect):
    body = read(dialect, "/series/vintagedates", series_id="GDPC1", realtime_start="2024-01-01")
    rows = read(dialect, series_id="GDPC1", **ALL_TIME)["observations"]
    published = {row["realtime_start"] for row in rows if row["realtime_start"] >= "2024-01-01"}
    assert body["vintage_dates"] == sorted(published)
    assert body["count"] == len(published)
    assert body["vintage_dates"][:2] == ["2024-01-28", "2024-02-28"]


def test_no_answer_has_more_than_2000_vintages(dialect):
    status, text = refusal(dialect, series_id="DGS10", observation_start="2026-11-01", **ALL_TIME)
    assert status == 400
    assert "vintage dates in the specified real-time period: 1776-07-04 to 9999-12-31.  This exceeds" in text
    part = {"realtime_start": "2019-06-01", "realtime_end": "9999-12-31"}
    assert read(dialect, series_id="DGS10", observation_start="2026-11-01", **part)["count"] > 10


@pytest.mark.parametrize(
    ("query", "begins"),
    [
        ({"series_id": None}, "Variable series_id is not set."),
        ({"series_id": "NOSUCH"}, "The series does not exist."),
        ({"api_key": None}, "Variable api_key is not set."),
        ({"api_key": "short"}, "The value for variable api_key is not a 32 character alpha-numeric lower-case string."),
        ({"api_key": "0" * 32}, "The value for variable api_key is not registered."),
        ({"observation_start": "1/1/2015"}, "Variable observation_start is not a YYYY-MM-DD formatted date"),
        ({"realtime_start": "2026-11-25"}, "Variable realtime_start can not be after today's date (2026-11-24)."),
        ({"realtime_end": "2026-11-25"}, "Variable realtime_end can not be after today's date (2026-11-24)."),
        ({"realtime_start": "2020-01-02", "realtime_end": "2020-01-01"}, "The realtime start date is after"),
        ({"limit": "100001"}, "Variable limit is not between 1 and 100000."),
        ({"limit": "0"}, "Variable limit is not between 1 and 100000."),
        ({"offset": "-1"}, "Variable offset is not"),
        ({"sort_order": "up"}, "Variable sort_order is not one of the values"),
        ({"realtime_start": "1776-07-04", "realtime_end": "1900-01-01"}, "The series does not exist in ALFRED"),
        ({"series_id": "SP500", **ALL_TIME}, "The series does not exist in ALFRED but may exist in FRED."),
        ({"units": "pch"}, "Variable units is not simulated"),
    ],
)
def test_a_wrong_request_is_a_400_that_says_what_is_wrong(dialect, query, begins):
    status, text = refusal(dialect, **{"series_id": "UNRATE"} | query)
    assert status == 400
    assert text.startswith(f"Bad Request.  {begins}")


def test_a_series_without_an_archive_shows_its_last_ten_years_as_of_today(dialect):
    rows = read(dialect, series_id="SP500")["observations"]
    assert rows[0]["date"] == "2016-11-24"
    assert {row["realtime_start"] for row in rows} == {"2026-11-24"}
    assert refusal(dialect, "/series/vintagedates", series_id="SP500")[0] == 400


def test_a_series_describes_itself_and_is_found_by_words(dialect):
    body = read(dialect, "/series", series_id="UNRATENSA")
    (series,) = body["seriess"]
    assert (series["id"], series["observation_end"], series["frequency_short"]) == ("UNRATENSA", "2016-12-01", "M")
    found = read(dialect, "/series/search", search_text="product real")["seriess"]
    assert [one["id"] for one in found] == ["GDPC1"]
    assert refusal(dialect, "/series/search")[0] == 400
    assert ask(dialect, "/nothing").status == 404


def test_the_default_is_xml_for_answers_and_errors(dialect):
    good = ask(dialect, series_id="UNRATENSA", observation_start="2016-12-01", file_type=None)
    assert good.content_type.startswith("text/xml")
    assert b'<observation realtime_start="2026-11-24"' in good.body
    bad = ask(dialect, series_id="NOSUCH", file_type=None)
    assert bad.status == 400
    assert b'<error code="400" message="Bad Request.  The series does not exist."/>' in bad.body


def test_no_minute_holds_more_than_120_requests(dialect):
    said = [ask(dialect, series_id="FEDTARMD", now_s=NOW_S + i / 3) for i in range(240)]
    assert [one.status for one in said] == [200] * 120 + [429] * 60 + [200] * 60
    assert json.loads(said[120].body) == {"error_code": 429, "error_message": "Too Many Requests.  Exceeded Rate Limit"}


def test_values_depend_on_the_seed_and_not_on_when_they_are_asked_for():
    early, late, other = FredMarket(7), FredMarket(7), FredMarket(8)
    before = dict(early.histories("PAYEMS", date(2015, 6, 1)))
    after = dict(late.histories("PAYEMS", TODAY))
    assert all(after[day][: len(history)] == history for day, history in before.items())
    assert after != dict(other.histories("PAYEMS", TODAY))


@pytest.mark.parametrize("name", SERIES)
def test_vintages_ascend_and_each_brings_another_value(name):
    for _, history in FredMarket(7).histories(name, TODAY):
        assert [day for day, _ in history] == sorted({day for day, _ in history})
        assert all(one[1] != following[1] for one, following in pairwise(history))


def test_the_indices_of_shares_are_real_closes_and_one_shows_ten_years(dialect):
    [first, *_, last] = read(dialect, series_id="NASDAQCOM")["observations"]
    assert [(one["date"], one["value"]) for one in (first, last)] == [
        ("1999-01-04", "2208.050049"),
        ("2018-12-31", "6635.279785"),
    ]
    dialect.limits["real_vintages"] = 1
    found = read(dialect, series_id="SP500")["observations"]
    dialect.limits["real_vintages"] = 0
    assert (found[0]["date"], found[-1]["value"]) == ("2016-11-25", "2506.850098")


def test_it_says_itself_what_must_come_of_it(dialect):
    assert isinstance(dialect, Conforming)
    assert {case.decision for case in dialect.error_cases()} >= {"key", "wait", "again", "unknown", "request"}
    for example in dialect.examples():
        rows = dialect.rows(example, now_s=NOW_S)
        assert rows
        assert [row["ts"] for row in rows] == sorted(row["ts"] for row in rows)


def test_through_the_server_the_key_in_the_query_is_masked_in_the_log(sandbox):
    body = sandbox.read(f"/fred/series?series_id=UNRATE&file_type=json&api_key={SANDBOX_KEY}")
    assert body["seriess"][0]["id"] == "UNRATE"
    assert SANDBOX_KEY not in json.dumps(sandbox.control("GET", "requests?log=1")[1])
