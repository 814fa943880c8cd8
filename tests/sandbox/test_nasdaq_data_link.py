"""Nasdaq Data Link: the real bars arrive complete and letter by letter; keys, filters, paging and limits."""

import gzip
import importlib.resources
import json
from collections import Counter
from urllib.parse import quote, urlencode

import pytest

from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.nasdaq_data_link import SANDBOX_KEY, NasdaqDataLink
from tests.sandbox.conftest import TABLE

NOW_S = 1_795_415_820.5
PATH = "/datatables/WIKI/PRICES.json"


def lines_of_the_wheel():
    packed = (importlib.resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz").read_bytes()
    return gzip.decompress(packed).decode().splitlines()[1:]


def read_all(sandbox, **query):
    """Return all rows of a query as CSV lines of the numbers' own text, and the number of pages."""
    lines, pages, cursor = [], 0, None
    while pages == 0 or cursor is not None:
        asked = query | ({"qopts.cursor_id": cursor} if cursor else {})
        answer = sandbox.get(f"{TABLE}?{urlencode(asked)}", **{"X-Api-Token": SANDBOX_KEY})
        assert answer.status == 200, answer.data
        body = json.loads(answer.data, parse_float=str, parse_int=str)
        lines += [",".join(row) for row in body["datatable"]["data"]]
        cursor, pages = body["meta"]["next_cursor_id"], pages + 1
    return lines, pages


@pytest.mark.parametrize(("per_page", "pages"), [(10_000, 2), (3_000, 5), (997, 13)])
def test_paging_reassembles_exactly_the_rows_of_the_wheel_with_identical_text(sandbox, per_page, pages):
    expected = lines_of_the_wheel()
    assert len(expected) == 12_154
    assert read_all(sandbox, **{"qopts.per_page": per_page}) == (expected, pages)


def test_the_page_is_ten_thousand_by_default_and_a_full_last_page_ends_the_paging(sandbox):
    assert read_all(sandbox)[1] == 2
    assert read_all(sandbox, ticker="FB", **{"qopts.per_page": 196})[1] == 1


def test_the_body_names_columns_and_types_and_puts_the_datatable_first(sandbox):
    body = sandbox.read(f"{TABLE}?ticker=FB&qopts.per_page=1&api_key={SANDBOX_KEY}")
    assert list(body) == ["datatable", "meta"]
    assert list(body["datatable"]) == ["data", "columns"]
    names = [column["name"] for column in body["datatable"]["columns"]]
    assert names == ["ticker", "date", "open", "high", "low", "close", "volume", "adj_close"]
    assert [column["type"] for column in body["datatable"]["columns"]][:2] == ["String", "Date"]


@pytest.mark.parametrize(
    ("query", "keep"),
    [
        ({"ticker": "FB,GOOG"}, lambda ticker, day: ticker in ("FB", "GOOG")),
        ({"date": "2013-03-01"}, lambda ticker, day: day == "2013-03-01"),
        ({"date.gte": "2013-02-28"}, lambda ticker, day: day >= "2013-02-28"),
        ({"date.gt": "2013-02-28"}, lambda ticker, day: day > "2013-02-28"),
        ({"date.lte": "2000-03-02"}, lambda ticker, day: day <= "2000-03-02"),
        ({"date.lt": "2000-03-02"}, lambda ticker, day: day < "2000-03-02"),
        (
            {"ticker": "IBM", "date.gte": "2005-01-01", "date.lt": "2006-01-01"},
            lambda ticker, day: ticker == "IBM" and day.startswith("2005"),
        ),
        ({"ticker": "NOPE"}, lambda ticker, day: False),
    ],
)
def test_filters_keep_exactly_the_matching_rows(sandbox, query, keep):
    expected = [line for line in lines_of_the_wheel() if keep(*line.split(",")[:2])]
    assert read_all(sandbox, **query)[0] == expected


def test_columns_come_as_asked_and_in_that_order(sandbox):
    body = sandbox.read(f"{TABLE}?ticker=AAPL&date=2000-03-01&qopts.columns=close,ticker&api_key={SANDBOX_KEY}")
    assert body["datatable"]["data"] == [[130.31, "AAPL"]]


def test_the_truth_tells_rows_and_first_and_last_day_per_ticker(sandbox):
    truth = sandbox.control("GET", "truth/nasdaq_data_link")[1]
    rows = Counter(line.split(",")[0] for line in lines_of_the_wheel())
    assert {ticker: entry["rows"] for ticker, entry in truth.items()} == rows
    assert truth["AAPL"] == {"rows": 3270, "first": "2000-03-01", "last": "2013-03-01"}


def ask(dialect, *, now_s=NOW_S, path=PATH, headers=None, **query):
    texts = {"ticker": "FB", "qopts.per_page": "1"} | {name.replace("__", "."): text for name, text in query.items()}
    said = dialect.answer(Request(path, texts, headers or {}, "127.0.0.1", now_s))
    return said if isinstance(said, Answer) else said()


def code_of(answer):
    return answer.status, json.loads(answer.body)["quandl_error"]["code"]


@pytest.fixture(scope="module")
def loaded():
    return NasdaqDataLink(7)


@pytest.fixture
def dialect(loaded):
    loaded.forget_spending()
    return loaded


def test_a_key_in_query_or_header_is_checked(dialect):
    assert ask(dialect, api_key=SANDBOX_KEY).status == 200
    assert ask(dialect, headers={"x-api-token": SANDBOX_KEY}).status == 200
    assert code_of(ask(dialect, api_key="wrong")) == (400, "QEAx01")
    assert code_of(ask(dialect, headers={"x-api-token": "wrong"})) == (400, "QEAx01")


def test_fifty_calls_a_day_are_free_without_a_key(dialect):
    assert [ask(dialect).status for _ in range(51)] == [200] * 50 + [429]
    refused = ask(dialect)
    assert code_of(refused) == (429, "QELx01")
    assert b"You have exceeded the anonymous user limit of 50 calls per day." in refused.body
    assert ask(dialect, api_key=SANDBOX_KEY).status == 200
    assert ask(dialect, now_s=NOW_S + 86_400).status == 200


def test_with_a_key_no_ten_seconds_hold_more_than_300_calls(dialect):
    granted = [ask(dialect, api_key=SANDBOX_KEY, now_s=NOW_S + i / 50).status for i in range(600)]
    assert granted == [200] * 300 + [429] * 200 + [200] * 100
    refused = ask(dialect, api_key=SANDBOX_KEY, now_s=NOW_S + 9)
    assert b"speed limit of 300 calls per 10 seconds" in refused.body


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"path": "/datatables/WIKI/NOPE.json"}, (404, "QECx02")),
        ({"qopts__columns": "ticker,nope"}, (422, "QESx04")),
        ({"nope": "1"}, (422, "QESx04")),
        ({"open__gte": "1"}, (422, "QESx04")),
        ({"date__gte": "yesterday"}, (422, "QESx01")),
        ({"qopts__per_page": "10001"}, (422, "QESx01")),
        ({"qopts__cursor_id": "nonsense"}, (422, "QESx01")),
    ],
)
def test_a_wrong_request_is_refused_in_the_providers_words(dialect, query, expected):
    assert code_of(ask(dialect, **query)) == expected


def test_a_cursor_holds_only_for_the_query_it_came_from(dialect):
    cursor = json.loads(ask(dialect).body)["meta"]["next_cursor_id"]
    assert ask(dialect, qopts__cursor_id=cursor).status == 200
    assert ask(dialect, qopts__cursor_id=cursor, ticker="IBM").status == 422


def test_the_key_never_shows_in_log_or_output(sandbox):
    sandbox.get(f"{TABLE}?ticker=FB&api_key={SANDBOX_KEY}")
    sandbox.get(f"{TABLE}?api_%6Bey={quote(SANDBOX_KEY)}&ticker=FB")
    sandbox.arm("nasdaq_data_link", "empty", match=f"api_key={SANDBOX_KEY}")
    shown = json.dumps([sandbox.control("GET", path)[1] for path in ("requests?log=1", "faults", "limits", "health")])
    assert SANDBOX_KEY not in shown
    assert "ticker=FB&api_key=***" in shown


GOLD = "/datasets/LBMA/GOLD/data.json"


def read(dialect, path, **query):
    said = dialect.answer(Request(path, {"api_key": SANDBOX_KEY} | query, {}, "127.0.0.1", NOW_S))
    said = said if isinstance(said, Answer) else said()
    assert said.status == 200, said.body
    return json.loads(said.body, parse_float=str, parse_int=str)


def test_a_dataset_comes_newest_first_with_its_columns_named(dialect):
    body = read(dialect, GOLD, limit="3")["dataset_data"]
    assert body["column_names"] == ["Date", "USD (AM)", "USD (PM)", "GBP (AM)", "GBP (PM)", "EURO (AM)", "EURO (PM)"]
    assert [row[0] for row in body["data"]] == ["2023-12-28", "2023-12-27", "2023-12-22"]
    assert (body["end_date"], body["frequency"]) == ("2023-12-28", "daily")


def test_both_dates_belong_to_the_range_and_a_column_can_be_asked_for_by_its_place(dialect):
    asked = {"start_date": "2020-01-02", "end_date": "2020-01-06", "order": "asc"}
    whole = read(dialect, GOLD, **asked)["dataset_data"]
    assert [row[0] for row in whole["data"]] == ["2020-01-02", "2020-01-03", "2020-01-06"]
    one = read(dialect, GOLD, **asked, column_index="3")["dataset_data"]
    assert one["column_names"] == ["Date", "GBP (AM)"]
    assert one["data"] == [[row[0], row[3]] for row in whole["data"]]


def test_gold_has_no_euro_before_there_was_one_and_whole_numbers_among_decimals(dialect):
    rows = read(dialect, GOLD, order="asc")["dataset_data"]["data"]
    euro = {row[0] for row in rows if row[5] is not None}
    assert min(euro) == "1999-01-04"
    assert {len(row) for row in rows} == {7}
    texts = [cell for row in rows for cell in row[1:] if cell is not None]
    assert {"." in text for text in texts} == {True, False}


def test_the_bars_of_the_wheel_are_a_dataset_too_letter_by_letter(dialect):
    body = read(dialect, "/datasets/WIKI/FB/data.json", order="asc")["dataset_data"]
    assert body["column_names"] == ["Date", "Open", "High", "Low", "Close", "Volume", "Adj. Close"]
    expected = [line.split(",")[1:] for line in lines_of_the_wheel() if line.startswith("FB,")]
    assert body["data"] == expected


def test_the_form_with_metadata_nests_under_dataset(dialect):
    body = read(dialect, "/datasets/FRED/UNRATENSA.json", limit="1")["dataset"]
    assert (body["dataset_code"], body["database_code"], body["newest_available_date"]) == (
        "UNRATENSA",
        "FRED",
        "2016-12-01",
    )
    assert body["data"] == [["2016-12-01", "4.5"]]
    described = read(dialect, "/datasets/FRED/UNRATENSA/metadata.json")["dataset"]
    assert "data" not in described
    assert described["column_names"] == ["Date", "Value"]


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/datasets/LBMA/SILVER/data.json", {}, (404, "QECx02")),
        ("/datasets/WIKI/NOPE/data.json", {}, (404, "QECx02")),
        (GOLD, {"start_date": "yesterday"}, (422, "QESx04")),
        (GOLD, {"order": "up"}, (422, "QESx04")),
        (GOLD, {"column_index": "7"}, (422, "QESx04")),
        (GOLD, {"limit": "all"}, (422, "QESx04")),
        (GOLD, {"nope": "1"}, (422, "QESx04")),
        (GOLD, {"collapse": "monthly"}, (422, "QESx04")),
        (GOLD, {"api_key": "wrong"}, (400, "QEAx01")),
    ],
)
def test_a_wrong_request_for_a_dataset_is_refused_in_the_providers_words(dialect, path, query, expected):
    said = dialect.answer(Request(path, query, {}, "127.0.0.1", NOW_S))
    assert code_of(said if isinstance(said, Answer) else said()) == expected


def test_a_table_has_pages_as_short_as_the_dial_says(dialect):
    dialect.limits["rows_per_page"] = 2
    body = json.loads(ask(dialect, api_key=SANDBOX_KEY, qopts__per_page="10").body)
    dialect.limits["rows_per_page"] = 10_000
    assert len(body["datatable"]["data"]) == 2
    assert body["meta"]["next_cursor_id"]


def test_it_says_itself_what_must_come_of_it(dialect):
    assert isinstance(dialect, Conforming)
    assert {example.dataset for example in dialect.examples()} == {"bars", "observations"}
    assert all(dialect.rows(example, now_s=NOW_S) for example in dialect.examples())
    assert len({case.decision for case in dialect.error_cases()}) == 8


def test_the_table_of_retail_trading_has_its_own_columns_and_is_filtered_and_paged_like_the_other(sandbox):
    path = TABLE.replace("WIKI/PRICES", "NDAQ/RTAT10")
    query = {"ticker": "TSLA", "date.gte": "2024-06-03", "date.lt": "2024-06-08", "qopts.per_page": 3}
    page = sandbox.read(f"{path}?{urlencode(query | {'api_key': SANDBOX_KEY})}")
    names = [column["name"] for column in page["datatable"]["columns"]]
    assert names == ["date", "ticker", "activity", "sentiment"]
    assert [row[:2] for row in page["datatable"]["data"]] == [[f"2024-06-0{day}", "TSLA"] for day in (3, 4, 5)]
    query |= {"qopts.cursor_id": page["meta"]["next_cursor_id"], "qopts.columns": "sentiment,date"}
    rest = sandbox.read(f"{path}?{urlencode(query | {'api_key': SANDBOX_KEY})}")
    assert [row[1] for row in rest["datatable"]["data"]] == ["2024-06-06", "2024-06-07"]
    assert rest["meta"]["next_cursor_id"] is None
    wrong = sandbox.get(f"{path}?{urlencode({'qopts.columns': 'open', 'api_key': SANDBOX_KEY})}")
    assert (wrong.status, b"QESx04" in wrong.data) == (422, True)
