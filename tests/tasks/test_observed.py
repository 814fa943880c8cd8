"""A farm that works, as it is seen from outside: its metrics are true, and one id leads through its logs.

Deliberately not here: rules and dashboards themselves (tests/deploy), how fast a scrape is (tests/dashboard).
"""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ingest.settings import CHECKOUT, Settings
from tests.dashboard.conftest import serving
from tests.tasks.conftest import _databases, noted, reset
from tests.tasks.farm import running_farm
from tests.tasks.load import TWO_STEPS, bars_job, owe
from tests.waiting import until

REQUEST = "a-request-of-the-tests"
METRIC = re.compile(r"tickfarm_\w+")
YESTERDAY = datetime.combine(datetime.now(UTC).date() - timedelta(days=1), datetime.min.time(), UTC)


@pytest.fixture(scope="module")
def farm(module_database_url, farm_valkey, farm_sandbox):
    """A farm that has polled, loaded history in one step and in two, and answered a call by hand."""
    made = running_farm(module_database_url, f"{farm_valkey}/{next(_databases)}", reset(farm_sandbox))
    with noted(made) as farm:
        followed = [("quotes", ""), ("bars", "1m")]
        for dataset, interval in followed:
            farm.rows(
                "INSERT INTO series (provider, dataset, instrument, interval, followed)"
                " VALUES ('binance', :dataset, 'BTC-USDT', :interval, true)",
                dataset=dataset,
                interval=interval,
            )
        farm.beat(TICKFARM_LOG_LEVEL="debug")
        farm.worker()
        small = bars_job("small", "BTC-USDT", start=YESTERDAY)
        large = bars_job("large", "BTC-USDT", minutes=TWO_STEPS)
        owe(farm, small, large)
        with farm.client() as client:
            headers = {"tickfarm_correlation_id": REQUEST}
            call = bars_job("call", "ETH-USDT", minutes=TWO_STEPS).kwargs
            client.send_task("tasks.fetch.binance", kwargs=call, headers=headers).get(timeout=60)
        farm.wait_for("SELECT count(*) = 2 FROM jobs WHERE key IN ('small', 'large') AND state = 'done'")
        farm.wait_for("SELECT count(*) >= 5 FROM jobs WHERE lane = 'live' AND state = 'done'")
        farm.rows("UPDATE series SET followed = false WHERE dataset = 'quotes'")  # no more polls: figures rest
        farm.rows("UPDATE schedule SET edits = '{\"enabled\": false}'")
        yield farm


@pytest.fixture(scope="module")
def scraped(farm):
    """Return every sample of the farm's metrics once they rest."""
    config = Settings(database_url=farm.database_url, redis_url=farm.redis_url)
    with serving(config) as served:

        def page():
            families = text_string_to_metric_families(httpx.get(f"{served.url}/metrics", timeout=30).text)
            return {(one.name, *sorted(one.labels.items())): one.value for f in families for one in f.samples}

        def told():
            found = page()
            return found if total(found, "rows_total", change="inserted") >= 2 * TWO_STEPS + 60 else None

        return until(told, within_s=30, what="the worker to have told what it stored")


def total(found, name, **labels):
    """Return the sum of the samples of a name with these labels."""
    wanted = set(labels.items())
    return sum(value for (one, *has), value in found.items() if one == f"tickfarm_{name}" and wanted <= set(has))


def test_requests_rows_and_tasks_are_counted_as_they_were(farm, scraped):
    requests, failed = farm.rows("SELECT sum(requests), sum(failed) FROM fetch_log")[0]
    assert total(scraped, "requests_total", provider="binance") == requests > 0
    assert total(scraped, "requests_total", provider="binance", verdict="ok") == requests - failed
    assert total(scraped, "request_duration_seconds_count", provider="binance") == requests
    stored = farm.value("SELECT count(*) FROM bars WHERE ts < :today", today=YESTERDAY + timedelta(days=1))
    assert stored == 2 * TWO_STEPS + 60
    assert total(scraped, "rows_total", dataset="bars", change="inserted") >= stored
    assert total(scraped, "rows_total", dataset="quotes", change="inserted") >= 1
    assert total(scraped, "tasks_total", task="tasks.fetch.binance", lane="backfill", state="done") == 1
    assert total(scraped, "tasks_total", task="tasks.fetch.binance", lane="backfill", state="handed_on") == 1
    assert total(scraped, "tasks_total", task="tasks.store", lane="standard", state="done") == 1
    assert total(scraped, "task_duration_seconds_count", task="tasks.normalize", lane="backfill") == 1
    assert total(scraped, "job_latency_seconds_count", lane="backfill") == 2


def test_histograms_add_up(scraped):
    for name in ("request_duration", "task_duration", "job_latency", "store_duration"):
        whole = total(scraped, f"{name}_seconds_count")
        assert whole == total(scraped, f"{name}_seconds_bucket", le="+Inf") > 0
        assert total(scraped, f"{name}_seconds_sum") > 0


def test_workers_leader_and_queues_are_seen(scraped):
    assert total(scraped, "up") == 2
    assert total(scraped, "leader") == total(scraped, "workers", lane="live") == 1
    assert total(scraped, "worker_children", lane="live") == 2
    assert total(scraped, "leader_last_look_timestamp_seconds") > datetime.now(UTC).timestamp() - 60
    assert total(scraped, "recent_runs") > 0
    assert 0 <= total(scraped, "slot_lateness_seconds") < 60
    assert 0 < total(scraped, "coverage_ratio", period="yesterday") < 0.05  # an hour of a day


def expressions():
    """Yield every expression of the rules and of the dashboards."""
    for group in yaml.safe_load((CHECKOUT / "deploy/prometheus/rules.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for file in (CHECKOUT / "deploy/grafana/dashboards").glob("*.json"):
        board = json.loads(file.read_text())
        yield from (target["expr"] for panel in board["panels"] for target in panel["targets"])
        yield from (one["query"] for one in board["templating"]["list"])


def test_every_metric_of_a_rule_or_a_dashboard_is_one_that_a_working_farm_shows(scraped):
    used = set(itertools.chain.from_iterable(METRIC.findall(one) for one in expressions()))
    assert len(used) > 30
    assert used - {name for name, *_ in scraped} == set()


def lines(farm, name):
    return [json.loads(line) for line in farm.processes[name].text().splitlines() if line.startswith("{")]


def test_one_id_leads_from_the_leader_through_every_step_of_a_job(farm):
    job = farm.job("large")
    said = [one for name in ("beat", "one") for one in lines(farm, name) if one.get("job_id") == job.id]
    assert [one["event"] for one in said] == ["published", "fetched", "normalized", "stored"]
    assert {one["correlation_id"] for one in said} == {f"job-{job.id}"}
    assert {one["task"] for one in said} == {"tasks.fetch.binance", "tasks.normalize", "tasks.store"}


def test_a_callers_own_id_leads_through_every_step_of_its_call(farm):
    said = [one for one in lines(farm, "one") if one.get("correlation_id") == REQUEST]
    assert [one["event"] for one in said] == ["fetched", "normalized", "stored"]
    assert farm.value("SELECT correlation_id FROM jobs WHERE key LIKE 'call:%'") == REQUEST


def test_what_is_logged_is_what_the_level_says(farm):
    assert {one["level"] for one in lines(farm, "one")} <= {"info", "warning"}
    assert "debug" in {one["level"] for one in lines(farm, "beat")}
