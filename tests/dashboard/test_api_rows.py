"""Rows by the REST API: every form holds the same, pages reach all of them, gaps are stated, as-of is the client's.

Deliberately not here: what a read brings (tests/pipeline/test_read.py), bad requests (test_api_requests.py).
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from sqlalchemy import text
from starlette.requests import ClientDisconnect
from structlog.testing import capture_logs

from dashboard.api.rows import OpenFileResponse
from farm import Farm
from ingest.market.records import DATASETS
from ingest.pipeline.exact import typed
from ingest.pipeline.read import Wanted, stored
from ingest.settings import settings
from tests.stored_rows import OBSERVED, START, add_series, keep, rows_of
from tests.waiting import until

#: More digits than a float has, and more than a context of `decimal` keeps.
DIGITS = "1234567890.123456789012345678901"
WINDOW = {"start": "2024-03-31T23:50Z", "end": "2024-04-01T00:10Z"}
BARS = {"provider": "binance", "instrument": "BTC-USDT", "interval": "1m"}


@pytest.fixture(scope="module")
def series(served):
    """Thirty rows of each dataset, of bars with two gaps and one that is still forming; Kraken's have none."""
    sessions, ids = served.context.sessions, {}
    for dataset in DATASETS:
        ids[dataset] = add_series(sessions, dataset=dataset)
        rows = rows_of(dataset, 30)
        if dataset == "bars":
            rows = [row | {"close": DIGITS, "is_final": "tf"[at == 29]} for at, row in enumerate(rows)]
            rows = [row for at, row in enumerate(rows) if at not in (3, 4, 12)]
        keep(sessions, dataset, ids[dataset], rows)
    keep(sessions, "bars", add_series(sessions, "ETH-USDT"), rows_of("bars", 30))
    keep(sessions, "bars", add_series(sessions, provider="kraken"), rows_of("bars", 32))
    return ids


def get(client, dataset, **query):
    """Return a good answer."""
    given = {"provider": "binance", "instrument": "BTC-USDT"} | ({"interval": "1m"} if dataset == "bars" else {})
    answer = client.get(f"/v1/{dataset}", params=given | query)
    assert answer.status_code == 200, answer.text
    return answer


def pages(client, path, query, between=lambda: None):
    """Return every row that `next` leads to, and how many pages there were."""
    rows, count, answer = [], 1, client.get(path, params=query)
    while True:
        assert answer.status_code == 200, answer.text
        document = answer.json()
        rows += document["rows"]
        assert ("next" in answer.links) is (document["next"] is not None)
        if document["next"] is None:
            return rows, count
        assert answer.links["next"]["url"] == document["next"]
        between()
        count, answer = count + 1, client.get(document["next"])


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_form_holds_what_the_table_holds_with_every_digit(client, served, series, dataset):
    wanted = Wanted(dataset, {"BTC-USDT": series[dataset]})
    table = stored(served.context.sessions, wanted)
    exact = typed(table, dataset)
    assert exact.height == (27 if dataset == "bars" else 30)
    parquet = get(client, dataset, format="parquet")
    assert pl.read_parquet(io.BytesIO(parquet.content)).equals(exact)
    arrow = get(client, dataset, format="arrow")
    assert pl.read_ipc(io.BytesIO(arrow.content)).equals(exact)
    assert pa.ipc.open_file(io.BytesIO(arrow.content)).read_all().num_rows == exact.height
    lines = list(csv.DictReader(io.StringIO(get(client, dataset, format="csv").text)))
    moments = ("ts", "observed_at")
    in_csv = table.with_columns(pl.col(*moments).dt.to_string("%Y-%m-%dT%H:%M:%S%.f%:z")).rows(named=True)
    assert [{name: value or None for name, value in line.items()} for line in lines] == [
        {name: _as_csv(value) or None for name, value in row.items()} for row in in_csv
    ]
    in_json = get(client, dataset).json()["rows"]
    assert [list(row) for row in in_json] == [table.columns] * exact.height
    assert [{name: _from_json(row[name], exact[name].dtype) for name in row} for row in in_json] == exact.rows(
        named=True
    )


def test_a_file_is_made_of_kept_months(client, served, series, tmp_path, monkeypatch):
    monkeypatch.setenv("TICKFARM_HOME", str(tmp_path))
    sessions, first = served.context.sessions, datetime(2023, 3, 1, tzinfo=UTC)
    number = add_series(sessions, "LTC-USDT")
    rows = (row | {"ts": first + at * timedelta(minutes=1)} for at, row in enumerate(rows_of("bars", 4 * 1440)))
    keep(sessions, "bars", number, rows)
    with sessions.begin() as session:
        session.execute(text("UPDATE ledger SET state = 'verified' WHERE series_id = :id"), {"id": number})
    parquet = pl.read_parquet(io.BytesIO(get(client, "bars", instrument="LTC-USDT", format="parquet").content))
    assert parquet.height == 4 * 1440
    [month] = (tmp_path / "months").iterdir()
    assert month.name.startswith(f"{number}-2023-03-")
    with sessions.begin() as session:  # past the farm: who reads the table sees it
        session.execute(text("UPDATE bars SET close = close + 1 WHERE series_id = :id"), {"id": number})
    arrow = pl.read_ipc(io.BytesIO(get(client, "bars", instrument="LTC-USDT", format="arrow").content))
    assert arrow.equals(parquet)


def _as_csv(value):
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else str(value or "")


def _from_json(value, kind):
    """Return a JSON value as the frame has it."""
    match kind:
        case pl.Datetime():
            return datetime.fromisoformat(value)
        case pl.Decimal():
            assert value is None or isinstance(value, str)
            return None if value is None else Decimal(value)
        case pl.List() if isinstance(kind.inner, pl.Decimal):  # a book's side
            return [Decimal(one) for one in value]
        case _:
            return value


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/json;q=0.5, text/csv", "text/csv; charset=utf-8"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("application/vnd.apache.arrow.file", "application/vnd.apache.arrow.file"),
        ("text/html, application/json;q=nonsense, text/csv;q=0", None),
    ],
)
def test_the_form_is_negotiated_and_format_goes_before_accept(client, series, accept, kind):
    answer = client.get("/v1/bars", params=BARS, headers={"Accept": accept})
    assert answer.headers["content-type"] == (kind or "application/json")
    assert answer.status_code == (406 if kind is None else 200)
    chosen = client.get("/v1/bars", params=BARS | {"format": "csv"}, headers={"Accept": accept})
    assert chosen.headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize("dataset", DATASETS)
def test_pages_of_any_size_reach_every_row_once(client, series, dataset):
    whole = get(client, dataset).json()["rows"]
    query = {"provider": "binance", "instrument": "BTC-USDT"} | ({"interval": "1m"} if dataset == "bars" else {})
    for size in (1, 7, len(whole)):
        rows, count = pages(client, f"/v1/{dataset}", query | {"page_rows": size})
        assert rows == whole
        assert count == -(-len(whole) // size)


def test_pages_go_over_instruments_and_the_newest_rows_of_each(client, series):
    query = BARS | {"instrument": ["ETH-USDT", "BTC-USDT"], "page_rows": 4, "limit": 6}
    rows, _ = pages(client, "/v1/bars", query)
    newest = [get(client, "bars", instrument=name, limit=6).json()["rows"] for name in query["instrument"]]
    assert rows == newest[0] + newest[1]
    assert [len(one) for one in newest] == [6, 6]
    assert newest[1][-1]["ts"] == "2024-04-01T00:19:00+00:00"


def test_paging_brings_every_row_that_was_there_once_while_rows_are_inserted(client, served):
    sessions = served.context.sessions
    series_id = add_series(sessions, "SOL-USDT")
    keep(sessions, "bars", series_id, rows_of("bars", 60)[::2])
    before = get(client, "bars", instrument="SOL-USDT").json()["rows"]
    late = iter(rows_of("bars", 60)[::-2])

    def insert():
        keep(sessions, "bars", series_id, [next(late), next(late)])

    rows, _ = pages(client, "/v1/bars", BARS | {"instrument": "SOL-USDT", "page_rows": 5}, between=insert)
    moments = [row["ts"] for row in rows]
    assert moments == sorted(set(moments))
    assert {row["ts"] for row in before} < set(moments)


def test_pages_of_a_fallback_are_what_the_whole_is(client, series):
    query = BARS | {"fallback": ["kraken"], "page_rows": 5}
    rows, count = pages(client, "/v1/bars", query)
    assert count == 7
    assert rows == client.get("/v1/bars", params=query | {"page_rows": 1000}).json()["rows"]
    theirs = [row["ts"][11:16] for row in rows if row["provider"] == "kraken"]
    assert theirs == ["23:53", "23:54", "00:02", "00:19", "00:20", "00:21"]
    newest, _ = pages(client, "/v1/bars", query | {"limit": 9, "page_rows": 2})
    assert newest == rows[-9:]


def test_gaps_of_a_range_are_stated_in_json_and_in_a_files_header(client, series):
    document = get(client, "bars", **WINDOW).json()
    assert document["gaps"] == [
        {"instrument": "BTC-USDT", "start": "2024-03-31T23:53:00Z", "end": "2024-03-31T23:55:00Z", "rows": 2},
        {"instrument": "BTC-USDT", "start": "2024-04-01T00:02:00Z", "end": "2024-04-01T00:03:00Z", "rows": 1},
    ]
    headers = get(client, "bars", **WINDOW, format="csv").headers
    assert headers["tickfarm-gap-count"] == "2"
    assert headers["tickfarm-gaps"].split(", ") == [
        "2024-03-31T23:53:00Z/2024-03-31T23:55:00Z;rows=2;BTC-USDT",
        "2024-04-01T00:02:00Z/2024-04-01T00:03:00Z;rows=1;BTC-USDT",
    ]
    assert get(client, "bars", instrument="ETH-USDT", **WINDOW).json()["gaps"] == []
    assert get(client, "bars", fallback="kraken", **WINDOW).json()["gaps"] == []
    around = {"start": "2024-03-31T23:45Z", "end": "2024-04-01T00:30Z", "instrument": "ETH-USDT"}
    assert [(one["rows"], one["start"][11:16]) for one in get(client, "bars", **around).json()["gaps"]] == [
        (5, "23:45"),
        (10, "00:20"),
    ]


def test_a_bar_that_has_not_ended_is_a_gap_of_what_is_final(client, series):
    window = {"start": "2024-04-01T00:15Z", "end": "2024-04-01T00:20Z"}
    assert get(client, "bars", **window).json()["gaps"] == []
    assert [one["rows"] for one in get(client, "bars", **window, final_only=True).json()["gaps"]] == [1]


def test_what_is_proven_or_confirmed_to_be_empty_or_not_over_yet_is_no_gap(client, served, series):
    sessions = served.context.sessions
    series_id = add_series(sessions, "ADA-USDT")
    rows = rows_of("bars", 30)
    keep(sessions, "bars", series_id, rows[:12] + rows[14:])  # two minutes of each day are missing

    def gaps(**window):
        query = {"start": "2024-03-31T23:50Z", "end": "2024-04-01T00:20Z"} | window
        return [one["rows"] for one in get(client, "bars", instrument="ADA-USDT", **query).json()["gaps"]]

    assert gaps() == [2]
    with sessions.begin() as session:
        empty = "{[2024-04-01T00:02Z,2024-04-01T00:03Z)}"
        said = "UPDATE ledger SET twice = CAST(:empty AS tstzmultirange) WHERE series_id = :id AND day = '2024-04-01'"
        session.execute(text(said), {"empty": empty, "id": series_id})
    assert gaps() == [1]
    longer = {"end": "2024-04-01T00:40Z"}
    assert gaps(**longer) == [1, 20]
    with sessions.begin() as session:
        session.execute(text("UPDATE series SET until = '2024-04-01T00:20Z' WHERE id = :id"), {"id": series_id})
    assert gaps(**longer) == [1], "a name that ended is owed nothing"
    with sessions.begin() as session:
        session.execute(text("UPDATE ledger SET state = 'verified' WHERE series_id = :id"), {"id": series_id})
    assert gaps() == []
    soon = datetime.now(UTC)
    ahead = {"start": soon.isoformat(), "end": (soon + timedelta(days=9)).isoformat()}
    assert gaps(**ahead) == []


def test_as_of_is_what_the_python_client_reads(client, served, series, monkeypatch):
    sessions = served.context.sessions
    corrected = [row | {"close": "9.99", "observed_at": OBSERVED + timedelta(days=9)} for row in rows_of("bars", 30)]
    series_id = add_series(sessions, "XRP-USDT")
    keep(sessions, "bars", series_id, rows_of("bars", 30))
    keep(sessions, "bars", series_id, corrected[:3])
    monkeypatch.setenv("DATABASE_URL", served.context.settings.database_url.get_secret_value())
    settings.cache_clear()
    with Farm() as farm:
        for as_of, closes in (("2024-05-01T00:00:01Z", ["1.20"] * 30), ("2024-05-20", ["9.99"] * 3 + ["1.20"] * 27)):
            ours = get(client, "bars", instrument="XRP-USDT", as_of=as_of, page_rows=1000).json()
            theirs = farm.bars("binance", "XRP-USDT", interval="1m", as_of=as_of).to_polars()
            assert [row["close"] for row in ours["rows"]] == closes
            assert [Decimal(one) for one in closes] == theirs["close"].to_list()
            assert ours["gaps"] is None
            paged, _ = pages(client, "/v1/bars", BARS | {"instrument": "XRP-USDT", "as_of": as_of, "page_rows": 7})
            assert paged == ours["rows"]
    monkeypatch.undo()
    settings.cache_clear()


def test_a_page_that_has_not_changed_is_not_sent_again(client, series):
    answer = get(client, "bars", limit=5)
    known = {"If-None-Match": answer.headers["etag"]}
    again = client.get("/v1/bars", params=BARS | {"limit": 5}, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/v1/bars", params=BARS | {"limit": 6}, headers=known).status_code == 200


def test_a_cursor_goes_on_with_its_own_request_only(client, series):
    cursor = get(client, "bars", page_rows=5).json()["cursor"]
    assert len(get(client, "bars", page_rows=9, cursor=cursor).json()["rows"]) == 9  # a page may have another size
    for other in ({"limit": 9}, {"instrument": "ETH-USDT"}, {"start": "2024-01-01"}, {"final_only": True}):
        refused = client.get("/v1/bars", params=BARS | other | {"cursor": cursor})
        assert refused.status_code == 400
        assert "cursor" in refused.json()["error"]["message"]
    assert client.get("/v1/bars", params=BARS | {"cursor": cursor, "format": "csv"}).status_code == 400


def test_reads_are_logged_with_who_and_what_and_without_secrets(client, writer, series):
    with capture_logs() as logged:
        get(client, "bars", limit=5)
        get(writer, "trades", format="csv")
        # A line is written when the last byte has gone, which the reader may have before.
        until(lambda: sum(line["event"] == "api_read" for line in logged) >= 2, what="both lines")
    lines = [line for line in logged if line["event"] == "api_read"]
    first, second = lines
    assert (first["path"], first["rows"], first["status"], first["actor"]) == ("/v1/bars", 5, 200, None)
    assert (second["path"], second["rows"], second["form"], second["actor"]) == ("/v1/trades", 30, "csv", "api")
    assert first["client"] == "127.0.0.1"
    assert first["ms"] > 0
    assert "a-token-of-the-tests" not in json.dumps(lines, default=str)


def test_nothing_is_left_in_the_temporary_folder(client, series, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for form in ("parquet", "arrow"):
        with client.stream("GET", "/v1/bars", params=BARS | {"format": form}) as answer:
            assert answer.status_code == 200
            assert list(tmp_path.iterdir()) == []


def test_a_file_is_closed_though_its_reader_has_hung_up(tmp_path):
    """Before the first piece: no generator has begun that could close it."""
    whole = tmp_path / "rows.parquet"
    whole.write_bytes(b"x" * 1_000)

    async def hung_up(*_message):
        raise OSError("gone")

    with whole.open("rb") as file:
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
        with pytest.raises(ClientDisconnect):
            asyncio.run(OpenFileResponse(file)(scope, hung_up, hung_up))
        assert file.closed


def test_no_rows_are_an_answer_in_every_form(client, series):
    none = {"start": "2030-01-01", "end": "2030-01-02"}
    document = get(client, "bars", **none).json()
    assert (document["rows"], document["gaps"], document["next"]) == ([], [], None)
    columns = list(get(client, "bars", limit=1).json()["rows"][0])
    assert get(client, "bars", **none, format="csv").text.strip().split(",") == columns
    assert pl.read_parquet(io.BytesIO(get(client, "bars", **none, format="parquet").content)).columns == columns
    assert pl.read_ipc(io.BytesIO(get(client, "bars", **none, format="arrow").content)).columns == columns


def test_the_first_rows_ts_is_the_windows_start(client, series):
    rows = get(client, "bars", **WINDOW).json()["rows"]
    assert datetime.fromisoformat(rows[0]["ts"]) == START
    assert rows[-1]["ts"] == "2024-04-01T00:09:00+00:00"  # half-open
