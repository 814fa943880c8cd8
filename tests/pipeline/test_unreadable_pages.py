"""Pages that can't be read: they are owed again, complete the data once the fault is gone, and die with a reason."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import unquote

import pytest

from ingest import providers
from ingest.market.records import Parsed
from ingest.pipeline.calls import check_call
from ingest.pipeline.normalize import batch_of
from ingest.providers.nasdaq_data_link_parts import tables
from ingest.transport.retry import DEFAULT
from tests.pipeline.farm import LATER, bars_call, days_call
from tests.pipeline.observed import answer

CALLS = {"binance": bars_call("BTC-USDT"), "nasdaq_data_link": days_call("AAPL")}
SERVED = {"binance": 60, "nasdaq_data_link": 21}
PROVIDERS = sorted(CALLS)
#: What looks like JSON at both ends and is none: only the parser finds out.
BROKEN = {"binance": "[[1709596800000,oops]]", "nasdaq_data_link": '{"datatable":{"data":[[oops]]}}'}
#: JSON, but not the provider's page.
STRANGE = {"binance": '[{"a": 1}, [2]]', "nasdaq_data_link": '{"datatable": {"data": 7, "columns": []}, "meta": {}}'}
SEEN_AT_ONCE = ("not_json", "truncated", "html", "error_in_200", "empty")


@pytest.mark.parametrize("fault", SEEN_AT_ONCE)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_that_is_none_is_a_finding_and_the_next_try_completes_the_data(farm, provider, fault):
    farm.sandbox.arm(provider, fault)
    farm.owe(provider, CALLS[provider])
    outcome = farm.run_once()
    assert outcome.state == "failed"
    assert farm.sandbox.fired() == [1]
    assert farm.select("SELECT state, failures FROM jobs") == [("due", 1)]
    assert farm.value("SELECT error FROM jobs") == outcome.reason
    [(rule, severity, rows)] = farm.findings()
    assert (rule in {"unparsable_page", "provider_error"}, severity, rows) == (True, "reject", 0)
    assert [one.state for one in farm.run(within=LATER)] == ["fetched"]
    assert farm.value("SELECT count(*) FROM bars") == SERVED[provider]
    assert farm.states() == ["done"]


@pytest.mark.parametrize("body", [BROKEN, STRANGE])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_only_the_parser_finds_unreadable_is_owed_again_as_a_child(farm, provider, body):
    farm.sandbox.arm(provider, "not_json", args={"body": body[provider]})
    parent = farm.owe(provider, CALLS[provider])
    assert farm.run_once().state == "fetched"
    if ("wrong_shape", "reject", 2) in farm.findings():  # readable after all: every row is rejected, the rest missing
        assert farm.findings()[0] == ("missing_rows", "warn", SERVED[provider])
        return
    assert farm.findings() == [("unparsable_page", "reject", 0)]
    assert farm.value("SELECT sample FROM findings") == body[provider]
    assert farm.select("SELECT state, parent_id, failures FROM jobs ORDER BY id") == [
        ("done", None, 0),
        ("due", parent, 1),
    ]
    farm.run(within=LATER)
    assert farm.value("SELECT count(*) FROM bars") == SERVED[provider]
    assert farm.states() == ["done", "done"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_that_stays_unreadable_ends_as_a_dead_letter_after_the_retries(farm, provider):
    farm.sandbox.arm(provider, "html", times=None)
    job = farm.owe(provider, CALLS[provider])
    assert [one.state for one in farm.run(within=LATER)] == ["failed"] * DEFAULT.retries + ["dead"]
    assert farm.requests(provider) == 1 + DEFAULT.retries
    assert farm.states() == ["dead"]
    [(letter_job, state, task, error)] = farm.select("SELECT job_id, state, task, error FROM dead_letters")
    assert (letter_job, state, task) == (job, "open", f"tasks.fetch.{provider}")
    assert "HTML" in error
    assert farm.value("SELECT count(DISTINCT payload_key) FROM findings") == 1 + DEFAULT.retries


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_the_parser_never_reads_ends_as_a_dead_letter_that_holds_the_request(farm, provider):
    farm.sandbox.arm(provider, "not_json", times=None, args={"body": BROKEN[provider]})
    farm.owe(provider, CALLS[provider])
    assert len(farm.run(within=LATER)) == 1 + DEFAULT.retries
    assert set(farm.states()) == {"done"}
    [(error_class, path)] = farm.select("SELECT error_class, kwargs->'requests'->0->>'path' FROM dead_letters")
    assert (error_class, path) == (
        "BadData",
        "/api/v3/klines" if provider == "binance" else "/datatables/WIKI/PRICES.json",
    )
    assert farm.value("SELECT count(*) FROM bars") == 0


def test_one_unreadable_page_of_a_batch_costs_the_others_nothing(farm):
    names = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    farm.sandbox.arm("binance", "not_json", match="ETHUSDT", args={"body": BROKEN["binance"]})
    farm.owe("binance", bars_call(*names))
    farm.run_once()
    counts = "SELECT instrument, count(*) FROM bars JOIN series ON id = series_id GROUP BY 1 ORDER BY 1"
    assert farm.select(counts) == [("BTC-USDT", 60), ("SOL-USDT", 60)]
    farm.run(within=LATER)
    assert farm.select(counts) == [(name, 60) for name in names]
    assert farm.requests("binance") == 4


def test_an_unreadable_page_in_the_middle_of_a_cursor_costs_no_row(farm, monkeypatch):
    monkeypatch.setattr(tables, "PAGE_ROWS", 5)
    broken = '{"datatable":{"data":[[oops]]},"meta":{"next_cursor_id":null}}'
    farm.sandbox.arm("nasdaq_data_link", "not_json", match="cursor_id", args={"body": broken})
    farm.owe("nasdaq_data_link", days_call("AAPL"))
    farm.run_once()
    assert farm.value("SELECT count(*) FROM bars") == 5
    farm.run(within=LATER)
    assert farm.value("SELECT count(*) FROM bars") == SERVED["nasdaq_data_link"]


def test_a_failure_late_in_a_cursor_is_the_first_failure_and_costs_no_row(farm, monkeypatch):
    monkeypatch.setattr(tables, "PAGE_ROWS", 3)
    farm.owe("nasdaq_data_link", days_call("AAPL"))
    farm.run_once()
    seen = farm.sandbox.control("GET", "requests?log=1")[1]["log"]
    assert len(seen) == 7
    farm.change("TRUNCATE bars, ledger")
    farm.sandbox.arm("nasdaq_data_link", "status", match=unquote(seen[-1]["query"]), args={"status": 503})
    farm.owe("nasdaq_data_link", days_call("AAPL"))
    farm.run_once()
    assert farm.sandbox.fired() == [1]
    assert farm.select("SELECT error FROM dead_letters") == []
    [(state, failures, wait)] = farm.select(
        "SELECT state, failures, due_at - created_at FROM jobs WHERE parent_id IS NOT NULL"
    )
    assert (state, failures) == ("due", 1)
    assert wait <= timedelta(seconds=DEFAULT.base_s)
    farm.run(within=LATER)
    assert farm.value("SELECT count(*) FROM bars") == SERVED["nasdaq_data_link"]


def test_a_retry_waits_as_the_policy_says_and_longer_each_time(farm):
    farm.sandbox.arm("binance", "html", times=None)
    farm.owe("binance", CALLS["binance"])
    waits = []
    for failures in range(1, 1 + DEFAULT.retries):
        farm.run_once() if failures == 1 else [farm.fetch(job) for job in farm.begin(within=LATER)]
        waits.append(farm.value("SELECT j.due_at - max(f.at) FROM jobs j, fetch_log f GROUP BY j.due_at"))
    for failures, wait in enumerate(waits):
        longest = timedelta(seconds=DEFAULT.base_s * 2**failures)
        assert longest * (1 - DEFAULT.jitter) <= wait <= longest


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_without_any_readable_answer_is_a_batch_without_rows(provider):
    module = providers.get(provider)
    call = check_call(module.facts, CALLS[provider])
    [request] = module.build(call.query())
    batch = batch_of(module, call, [answer(request, BROKEN[provider].encode())])
    assert (batch.frame.height, list(batch.unread)) == (0, [request])
    assert isinstance(module.parse(call.query(), answer(request, page_of(provider)).answer), Parsed)


def page_of(provider: str) -> bytes:
    """Return an empty, readable page."""
    columns = ("ticker", "date", "open", "high", "low", "close", "volume", "adj_close")
    named = ",".join(f'{{"name":"{name}"}}' for name in columns)
    table = f'{{"datatable":{{"data":[],"columns":[{named}]}},"meta":{{"next_cursor_id":null}}}}'
    return b"[]" if provider == "binance" else table.encode()
