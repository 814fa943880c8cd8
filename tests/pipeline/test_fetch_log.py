"""The fetch log: every request that was sent leaves its trace there, and no trace holds a key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from ingest import providers, telemetry
from ingest.archive import Place
from ingest.errors import BadData, FixRequest, SlowDown, TryAgain
from ingest.payloads import StoredAnswer, pack, payload_key, unpack
from ingest.pipeline.fetch_log import URL_LETTERS, Asker, Ending, Trace, log_rows, url_of
from ingest.pipeline.instruments import listed_instruments
from ingest.wire import Answer, Failure, Request
from tests.pipeline.farm import LATER, bars_call, days_call

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIRST, MIRROR = "https://api.example.com", "https://api2.example.com"
FAILURES = (
    "SELECT status, cause, requests, weight, failed, answer, latency_ms, error, url, base_url, payload_key, body_bytes"
    " FROM fetch_log WHERE kind = 'failure' ORDER BY id"
)


def answer(body=b"[]", *, status=200, ms=7, request=None):
    return Answer(request or Request("/p", weight=3), status, {}, body, NOW, NOW + timedelta(milliseconds=ms))


def test_a_failed_request_has_a_row_of_its_own_and_the_batch_counts_and_times_the_others(farm):
    farm.sandbox.arm("binance", "status", match="ETHUSDT")
    job = farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT", "SOL-USDT"))
    farm.run_once()
    [batch] = farm.select(
        "SELECT requests, weight, failed, cardinality(latency_ms), base_url, pool, body_bytes > 3000, payload_key"
        " FROM fetch_log WHERE kind = 'batch'"
    )
    base = f"{farm.sandbox.url}/binance"
    assert batch == (3, 6, 1, 2, base, "", True, payload_key(job, 1))
    [(status, cause, requests, weight, failed, place, latency, error, url, asked, key, size)] = farm.select(FAILURES)
    assert (status, cause, requests, weight, failed) == (500, "try_again", 0, 0, 0)
    assert (asked, key, len(latency), size > 0) == (base, payload_key(job, 1), 1, True)
    assert (url.partition("?")[0], "symbol=ETHUSDT" in url, "500" in error) == ("/api/v3/klines", True, True)
    [(_, kept)] = archived(farm)
    assert kept[place].answer.status == 500


def archived(farm):
    """Return (key, answers) of every payload that the log finds in the archive."""
    rows = farm.select("SELECT payload_key, segment, position, size_bytes FROM fetch_log WHERE segment IS NOT NULL")
    return [(key, unpack(farm.context.payloads.get(key, Place(*place)))) for key, *place in rows]


@pytest.mark.parametrize(("fault", "cause"), [("reset", "reset"), ("hang", "timeout")])
def test_a_request_without_an_answer_is_traced_with_its_cause_and_how_long_it_took(farm, fault, cause):
    farm.sandbox.arm("binance", fault)
    farm.owe("binance", bars_call("BTC-USDT"), options={"timeout_s": 0.5})
    farm.run(within=LATER)
    [(status, found, *_, size)] = farm.select(FAILURES)
    assert (status, found, size) == (None, cause, 0)
    [(latency,)] = farm.select("SELECT latency_ms[1] FROM fetch_log WHERE kind = 'failure'")
    assert latency >= (400 if cause == "timeout" else 0)


def test_a_request_that_was_repeated_at_once_is_two_requests_one_of_them_failed(farm):
    farm.sandbox.arm("binance", "reset")
    farm.owe("binance", bars_call("BTC-USDT"))
    farm.run_once()
    assert farm.states() == ["done"]
    batch = "SELECT requests, failed, cardinality(latency_ms) FROM fetch_log WHERE kind = 'batch'"
    assert farm.select(batch) == [(2, 1, 1)]


def test_the_log_s_sums_are_what_the_provider_counted(farm):
    farm.sandbox.arm("binance", "status", times=2)
    farm.sandbox.arm("binance", "not_json", match="ETHUSDT")
    before = farm.requests("binance")
    for names in (("BTC-USDT", "ETH-USDT"), ("SOL-USDT",)):
        farm.owe("binance", bars_call(*names))
    farm.run(within=LATER)
    listed_instruments(farm.context, providers.get("binance"))
    assert farm.value("SELECT sum(requests) FROM fetch_log") == farm.requests("binance") - before
    assert farm.value("SELECT sum(failed) FROM fetch_log") == len(farm.select(FAILURES)) == 3
    assert farm.value("SELECT sum(cardinality(latency_ms)) FROM fetch_log") == farm.requests("binance") - before


def test_the_list_of_instruments_is_traced_too_though_no_job_asks_for_it(farm):
    binance = providers.get("binance")
    listed_instruments(farm.context, binance)
    farm.sandbox.arm("binance", "status", args={"status": 503})
    with pytest.raises(TryAgain):
        listed_instruments(farm.context, binance)
    rows = farm.select(
        "SELECT kind, dataset, job_id, payload_key, requests, failed, outcome, status FROM fetch_log ORDER BY id"
    )
    assert rows == [
        ("batch", "catalogue", None, None, 1, 0, "done", None),
        ("batch", "catalogue", None, None, 1, 1, "failed", None),
        ("failure", "catalogue", None, None, 0, 0, "failed", 503),
    ]


def test_of_a_batch_that_met_several_addresses_it_is_seen_which_served():
    traces = [
        Trace(answer(ms=5), FIRST, answer=0),
        Trace(Failure(Request("/p"), "timeout", "late", NOW, NOW + timedelta(seconds=2)), FIRST, TryAgain("late")),
        Trace(answer(b"[1]", ms=9), MIRROR, answer=1),
    ]
    asker = Asker("binance", "bars", "live", 7, 1, pool="a1b2")
    batch, failure = log_rows(asker, traces, Ending(NOW, 50, "fetched", payload_key="k"))
    assert (batch.base_url, batch.latency_ms, batch.body_bytes) == (f"{FIRST},{MIRROR}", [5, 9], 5)
    assert (batch.requests, batch.weight, batch.failed, batch.pool) == (3, 7, 1, "a1b2")
    assert (failure.base_url, failure.cause, failure.latency_ms, failure.pool) == (FIRST, "timeout", [2000], "a1b2")
    assert batch.at == failure.at == NOW


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (SlowDown("wait"), "slow_down"),
        (FixRequest("no"), "fix_request"),
        (BadData("odd", rule="r"), "bad_data"),
        (TryAgain("later"), "try_again"),
    ],
)
def test_an_answer_s_cause_is_the_branch_of_its_error(error, cause):
    [_, failure] = log_rows(Asker("p", "bars"), [Trace(answer(status=418), FIRST, error)], Ending(NOW, 1, "failed"))
    assert (failure.cause, failure.status) == (cause, 418)


def test_a_clock_set_back_makes_no_negative_latency_and_a_text_no_character_that_the_table_refuses():
    early = Trace(answer(b"\0", status=500, ms=-5), FIRST, TryAgain("said \0"))
    [_, failure] = log_rows(Asker("p", "bars"), [early], Ending(NOW, 1, "failed"))
    assert (failure.latency_ms, failure.error) == ([0], "said \\0")


def test_a_url_is_redacted_before_it_is_cut(farm, monkeypatch):
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", "planted/key+9f2c")
    farm.owe("nasdaq_data_link", days_call("AAPL"))
    farm.run_once()
    long = Request("/" + "a" * (URL_LETTERS - 12), (("q", "planted/key+9f2c"),))
    assert "planted" not in url_of(long)
    assert len(url_of(Request("/p", (("cursor", "c" * 9000),)))) == URL_LETTERS


KEY = "planted/key+9f2c"
IN_URLS = ("planted%2Fkey%2B9f2c", "planted%2fkey%2b9f2c")
ECHO = json.dumps({"quandl_error": {"code": "QEAx01", "message": f"the key {KEY} is not known to us"}})


def everything(farm):
    """Yield (where, text) of every table, Redis value and archived answer."""
    tables = farm.select("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200")
    for (table,) in tables:
        yield table, str(farm.select(f"SELECT t::text FROM {table} t"))
    for key in farm.context.redis.scan_iter():
        if farm.context.redis.type(key) == b"string":
            blob = farm.context.redis.get(key)
            yield str(key), str(unpack(blob)) if b"payload" in key else str(blob)
    yield from ((key, str(answers)) for key, answers in archived(farm))


@pytest.mark.parametrize(
    "body",
    [ECHO, ECHO.replace("/", "\\/"), *(ECHO.replace(KEY, one) for one in IN_URLS)],
    ids=["plain", "JSON with escaped slashes", "percent-encoded", "percent-encoded in lower case"],
)
def test_a_key_that_the_provider_s_answer_quotes_is_kept_nowhere(farm, monkeypatch, body):
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", KEY)
    farm.sandbox.arm("nasdaq_data_link", "error_in_200", times=None, args={"body": body})
    farm.owe("nasdaq_data_link", days_call("AAPL"))
    farm.run_once()
    kept = list(everything(farm))
    assert farm.states() == ["dead"]
    assert any("is not known to us" in text for _, text in kept)
    assert [where for where, text in kept if "planted" in text] == []


def test_an_error_that_quotes_a_secret_is_noted_without_it(farm, own_secrets):
    telemetry.register_secret("/v3/klines")  # what binance's errors quote is the path
    farm.sandbox.arm("binance", "status", times=None, args={"status": 400, "body": '{"code":-1100,"msg":"no"}'})
    farm.owe("binance", bars_call("BTC-USDT"))
    farm.run_once()
    kept = list(everything(farm))
    for table in ("jobs", "fetch_log_d", "dead_letters"):
        assert any("error -1100 for /api***" in text for where, text in kept if where.startswith(table)), table
    tables = [(where, text) for where, text in kept if not where.startswith("tickfarm:")]
    assert [where for where, text in tables if "/v3/klines" in text] == []


@pytest.fixture
def own_secrets(monkeypatch):
    """Give the test a set of secrets of its own."""
    monkeypatch.setattr(telemetry, "_secrets", set())


def test_a_good_page_that_quotes_the_key_is_kept_without_it_and_still_read(farm, monkeypatch):
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", KEY)
    farm.owe("nasdaq_data_link", days_call("AAPL"))
    [job] = farm.begin()
    farm.sandbox.arm("nasdaq_data_link", "error_in_200", args={"body": PAGE})
    assert farm.fetch(job).state == "fetched"
    kept = list(everything(farm))
    assert any("hello ***" in text for _, text in kept)
    assert [where for where, text in kept if "planted" in text] == []
    assert farm.load(job)["rows"] == 1


PAGE = json.dumps(
    {
        "hello": f"hello {KEY}",
        "datatable": {
            "columns": [
                {"name": name} for name in ("ticker", "date", "open", "high", "low", "close", "volume", "adj_close")
            ],
            "data": [["AAPL", "2013-01-02", 1, 3, 1, 2, 10, 2]],
        },
        "meta": {"next_cursor_id": None},
    }
)


def test_a_key_of_digits_is_redacted_in_a_way_that_json_survives(own_secrets):
    telemetry.register_secret("8675309")
    body = b'{"key":8675309,"said":"8675309","price":"18675309.5","rows":[[86753091]]}'
    [kept] = unpack(pack([StoredAnswer(answer(body))]).blob)
    assert json.loads(kept.answer.body) == {"key": 0, "said": "0", "price": "18675309.5", "rows": [[86753091]]}
