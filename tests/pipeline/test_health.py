"""Health from real traffic: what the sandbox's answers make of a provider, what is reported of that, and how often.

Deliberately not here: what figures mean (test_health_rules.py), the commands (tests/test_cli_health.py).
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import FixRequest
from ingest.pipeline import by_hand
from ingest.pipeline.context import Context
from ingest.pipeline.events import Event, Listener, newest_events, publish
from ingest.pipeline.health_figures import count_jobs, farm_report, provider_reports
from ingest.pipeline.health_watch import check
from ingest.pipeline.leader import Leadership
from ingest.pipeline.retention import retain
from ingest.pipeline.workers import Worker, announce
from ingest.transport.traffic import look
from models import open_engine
from tests.pipeline.farm import LANES, bars_call, new_job, opened
from tests.tester import TESTER
from tests.waiting import until


@pytest.fixture
def paced(farm, settings_of):
    """Return the farm with its limits kept to."""
    with opened(Context(settings_of(tickfarm_pace=True), name="test health"), farm.sandbox) as other:
        yield other


PAIRS = [f"{name}-USDT" for name in ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "LTC")]


def poll(farm, count=1):
    """Send so many requests, one for each pair, in jobs of up to eight; return the last job's outcome."""
    for first in range(0, count, len(PAIRS)):
        farm.change("UPDATE jobs SET due_at = now() + interval '1 day' WHERE state = 'due'")
        farm.owe("binance", bars_call(*PAIRS[: count - first], minutes=1))
        outcome = farm.run_once()
    return outcome


def report(farm, provider="binance"):
    [one] = provider_reports(farm.context, datetime.now(UTC), [provider])
    return one


def checks(farm, count=2):
    """Check so often; return every change that was reported."""
    return [
        (one.provider, one.before, one.after) for _ in range(count) for one in check(farm.context, datetime.now(UTC))
    ]


def history(farm, kind="health"):
    with farm.context.sessions() as session:
        return [(one.before, one.after) for one in newest_events(session, kind=kind)]


def test_a_provider_s_figures_are_those_of_its_requests(paced):
    poll(paced, 7)
    paced.sandbox.arm("binance", "status", times=2, args={"status": 500})
    poll(paced, 2)
    one = report(paced)
    assert (one.traffic.requests, one.traffic.ok, one.traffic.errors, one.failing) == (9, 7, 2, 2)
    assert one.judged.state == "CRITICAL"
    assert one.judged.reasons == ("2 of 9 requests failed (22.2%)",)
    assert 0 < one.traffic.percentile_ms(50) < 1_000
    [used] = [used for used in one.budget if used.per_s == 60]
    assert (used.unit, used.amount, used.used) == ("weight", 6_000, 9 * 2)
    assert (one.batches_out, one.breakers, one.holds, one.has_key) == (0, (), (), None)
    assert report(paced, "kraken").judged.state == "IDLE"
    assert report(paced, "nasdaq_data_link").has_key is True


def test_slow_answers_degrade_a_provider_and_no_other(paced):
    poll(paced, 2)
    assert report(paced).judged.state == "HEALTHY"
    paced.sandbox.arm("binance", "slow", args={"delay_s": 2.3})
    poll(paced)
    one = report(paced)
    assert one.judged.state == "DEGRADED"
    assert one.traffic.percentile_ms(95) == pytest.approx(2_300, rel=0.1)
    assert report(paced, "kraken").judged.state == "IDLE"


def test_an_open_breaker_is_offline_with_its_reason_and_time(farm):
    poll(farm, 20)
    farm.sandbox.arm("binance", "status", times=5, args={"status": 503})
    poll(farm, 5)
    one = report(farm)
    assert one.judged.state == "OFFLINE"
    assert one.judged.reasons[0] == "the breaker of every address is open"
    assert [(shown.breaker.scope, shown.breaker.state) for shown in one.breakers] == [("0", "OPEN"), ("0/bars", "OPEN")]
    assert {shown.reason for shown in one.breakers} == {"5 failures in a row"}
    assert {shown.base_url for shown in one.breakers} == {f"{farm.sandbox.url}/binance"}
    assert 20 < (one.breakers[0].breaker.until - datetime.now(UTC)).total_seconds() <= 30


def test_every_change_is_an_event_once_in_the_history_and_on_the_channel(farm):
    listener = farm.context.redis.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("tickfarm:events")
    assert checks(farm) == []
    poll(farm, 24)
    assert checks(farm, 5) == [("binance", "IDLE", "HEALTHY")]
    farm.sandbox.arm("binance", "status", times=5, args={"status": 503})
    poll(farm, 5)
    assert checks(farm, 5) == [("binance", "HEALTHY", "OFFLINE")]
    by_hand.switch(farm.context, "binance", "close", by=TESTER)
    poll(farm, 8)
    assert checks(farm, 5) == [("binance", "OFFLINE", "DEGRADED")], "5 of 37 failed"
    assert history(farm) == [("IDLE", "HEALTHY"), ("HEALTHY", "OFFLINE"), ("OFFLINE", "DEGRADED")]
    told = []
    until(lambda: told.append(listener.get_message()) or (told[-1] is None and len(told) > 9), what="the messages")
    listener.close()
    events = [json.loads(message["data"]) for message in told if message is not None]
    assert [(one["before"], one["after"]) for one in events if one["kind"] == "health"] == history(farm)
    assert [one["after"] for one in events if one["kind"] == "breaker"] == ["open", "open", "closed", "closed"]
    assert set(events[0]) == {"provider", "kind", "scope", "before", "after", "until", "reason"}


def test_a_lost_redis_makes_no_change_be_reported_twice(farm):
    poll(farm, 3)
    assert checks(farm) == [("binance", "IDLE", "HEALTHY")]
    farm.context.redis.flushdb()
    poll(farm, 3)
    assert checks(farm, 3) == []
    assert history(farm) == [("IDLE", "HEALTHY")]


def test_of_checks_at_the_same_time_one_reports(farm, settings_of):
    poll(farm, 3)
    check(farm.context, datetime.now(UTC))
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: check(Context(settings_of(), pooled=False), datetime.now(UTC)), range(4)))
    assert sum(len(one) for one in reports) == 1
    assert history(farm) == [("IDLE", "HEALTHY")]


def test_a_hold_by_hand_stops_a_provider_whatever_redis_forgets_until_it_is_lifted(farm):
    poll(farm)
    by_hand.hold(farm.context, "binance", 7_200, "their maintenance", datetime.now(UTC), by=TESTER)
    sent = report(farm).traffic.requests
    held = poll(farm)
    assert held.state == "deferred"
    assert "their maintenance" in held.reason
    farm.context.redis.flushdb()
    held = poll(farm)
    assert (held.state, held.requests) == ("deferred", 0)
    assert 7_100 < (held.until - datetime.now(UTC)).total_seconds() <= 7_200
    assert report(farm).judged.reasons[-1].endswith("by hand: their maintenance")
    ended, left = by_hand.lift(farm.context, "binance", everything=False, now=datetime.now(UTC), by=TESTER)
    assert ([one.kind for one in ended], left) == (["manual"], [])
    assert poll(farm).state == "fetched"
    assert sent == report(farm).traffic.requests == 1
    assert history(farm, "hold") == [("free", "held"), ("held", "free")]


def test_a_second_hold_takes_the_place_of_the_first_even_if_it_is_shorter(farm):
    now = datetime.now(UTC)
    for for_s in (None, 60):
        by_hand.hold(farm.context, "binance", for_s, "x", now, by=TESTER)
    [hold] = report(farm).holds
    assert hold.until == now + timedelta(seconds=60)
    poll(farm)
    assert farm.value("SELECT max(due_at) < now() + interval '61 seconds' FROM jobs WHERE state = 'due'")


def test_a_hold_without_a_reason_or_of_over_ten_years_is_refused(farm):
    for for_s, reason in ((60, "  "), (11 * 366 * 86_400, "x")):
        with pytest.raises(FixRequest):
            by_hand.hold(farm.context, "binance", for_s, reason, datetime.now(UTC), by=TESTER)
    assert report(farm).holds == ()


def test_lifting_leaves_what_the_provider_asked_for_unless_all_is_lifted(farm):
    farm.sandbox.arm("binance", "status", args={"status": 429, "retry_after": 600})
    assert poll(farm).state == "deferred"
    by_hand.hold(farm.context, "binance", None, "x", datetime.now(UTC), by=TESTER)
    _, left = by_hand.lift(farm.context, "binance", everything=False, now=datetime.now(UTC), by=TESTER)
    assert [one.kind for one in left] == ["throttled"]
    assert poll(farm).state == "deferred"
    by_hand.lift(farm.context, "binance", everything=True, now=datetime.now(UTC), by=TESTER)
    assert report(farm).holds == ()
    assert poll(farm).state == "fetched"


def test_a_limit_by_hand_is_kept_whatever_redis_forgets_until_it_is_ended(farm):
    now = datetime.now(UTC)
    by_hand.limit(farm.context, "binance", 40, 7_200, "they asked for less", now, by=TESTER)
    by_hand.limit(farm.context, "binance", 1, 3_600, "and less", now, by=TESTER)
    for _ in range(2):
        assert poll(farm).state == "fetched"
        assert look(farm.context.redis, ["binance"])["binance"].percent == 1
        farm.context.redis.flushdb()
    found = report(farm)
    assert (found.limit.percent, found.limit.until) == (1, now + timedelta(hours=1))
    assert "limited to 1 % until" in found.judged.reasons[-1]
    assert by_hand.unlimit(farm.context, "binance", now, by=TESTER)
    assert not by_hand.unlimit(farm.context, "binance", now, by=TESTER)
    assert (report(farm).limit, look(farm.context.redis, ["binance"])["binance"].percent) == (None, 100)
    assert history(farm, "limit") == [("100 %", "40 %"), ("40 %", "1 %"), ("1 %", "100 %")]


def test_a_limit_that_is_none_is_refused(farm):
    for percent, for_s, reason in ((0, 60, "x"), (100, 60, "x"), (50, 60, " "), (50, 11 * 366 * 86_400, "x")):
        with pytest.raises(FixRequest):
            by_hand.limit(farm.context, "binance", percent, for_s, reason, datetime.now(UTC), by=TESTER)
    assert report(farm).limit is None


def test_a_check_puts_right_what_a_limit_left_between_the_two(farm):
    poll(farm)
    by_hand.limit(farm.context, "binance", 10, None, "x", datetime.now(UTC), by=TESTER)
    farm.context.gate.limit("binance", None)
    checks(farm, 1)
    assert look(farm.context.redis, ["binance"])["binance"].percent == 10
    farm.change("DELETE FROM provider_limits")
    checks(farm, 1)
    assert look(farm.context.redis, ["binance"])["binance"].percent == 100


def test_a_check_puts_right_what_a_command_that_died_left_between_the_two(farm):
    by_hand.hold(farm.context, "binance", None, "x", datetime.now(UTC), by=TESTER)
    farm.context.gate.lift("binance")
    checks(farm, 1)
    assert poll(farm).state == "deferred"
    farm.change("DELETE FROM provider_holds")
    checks(farm, 1)
    assert poll(farm).state == "fetched"


def test_the_farm_s_verdict_knows_the_leader_the_lanes_and_the_jobs_of_the_last_hour(farm, module_database_url):
    poll(farm, 3)
    before = farm_report(farm.context, LANES, datetime.now(UTC))
    assert before.judged.state == "OFFLINE"
    assert before.judged.reasons == (
        "nobody leads: no beat is there, or it can't reach the database",
        "no worker is there",
    )
    announce(farm.context.redis, Worker("one@here", ("live", "standard", "maintenance"), 2))
    engine = open_engine(module_database_url, application_name="test leader", pooled=False)
    leadership = Leadership(engine)
    assert leadership.held()
    farm.owe("binance", bars_call(), lane="backfill")
    now = datetime.now(UTC)
    led = farm_report(farm.context, LANES, now)
    leadership.release()
    assert led.judged.reasons == ("nobody serves the backfill lane, its jobs wait",)
    assert led.judged.state == "CRITICAL"
    assert led.figures.lanes == {"live": 2, "standard": 2, "backfill": 0, "maintenance": 2}
    assert timedelta(0) <= now - led.since < timedelta(minutes=1)
    assert led.figures.jobs.succeeded == 1
    assert led.figures.traffic.requests == 3
    assert farm_report(farm.context, LANES, now).figures.has_leader is False


def test_jobs_are_counted_by_their_end_in_the_last_hour(farm, owe):
    ends = [("done", 5), ("done", 59), ("done", 61), ("dead", 1), ("expired", 2), ("cancelled", 3)]
    for state, minutes in ends:
        farm.change(
            "UPDATE jobs SET state = :state, finished_at = now() - :minutes * interval '1 minute' WHERE id = :id",
            id=owe(),
            state=state,
            minutes=minutes,
        )
    owe()
    farm.change("UPDATE jobs SET finished_at = now(), state = 'done' WHERE id = :id", id=owe(task="tasks.health"))
    with farm.context.sessions() as session:
        counts = count_jobs(session, datetime.now(UTC))
    assert (counts.succeeded, counts.dead, counts.expired, counts.cancelled, counts.failed) == (2, 1, 1, 1, 2)
    assert new_job().task != "tasks.health"


def test_whoever_listens_hears_what_is_published_and_nothing_that_is_no_event(farm):
    redis, moment = farm.context.redis, datetime.now(UTC)
    listener = Listener(redis)
    for raw in (b"no json", b"[1]", b"{}", b'{"provider": "binance"}'):
        redis.publish("tickfarm:events", raw)
    sent = Event("kraken", "breaker", "closed", "open", scope="0", until=moment, reason="5 failures in a row")
    publish(redis, [Event("binance", "health", "IDLE", "HEALTHY"), sent])
    heard = next(listener.events(provider="kraken"))
    listener.close()
    assert (heard.provider, heard.scope, heard.until, heard.reason) == ("kraken", "0", moment, sent.reason)
    assert heard.at is not None


def test_what_is_remembered_of_providers_goes_when_it_is_old(farm):
    def put(table, columns, *rows):
        for row in rows:
            farm.change(f"INSERT INTO {table} ({columns}) VALUES {row}")

    put(
        "provider_events",
        "at, provider, kind, before, after",
        "(now() - interval '200 days', 'binance', 'breaker', 'closed', 'open')",
        "(now() - interval '200 days', 'binance', 'health', 'IDLE', 'HEALTHY')",
        "(now() - interval '190 days', 'binance', 'health', 'HEALTHY', 'DEGRADED')",
        "(now() - interval '89 days', 'binance', 'breaker', 'open', 'half')",
    )
    put(
        "quota_use",
        "provider, pool, unit, hour, used",
        "('binance', '', 'requests', now() - interval '41 days', 1)",
        "('binance', '', 'requests', now() - interval '39 days', 1)",
    )
    put(
        "provider_holds",
        "provider, pool, kind, until, reason",
        "('binance', '', 'throttled', now() - interval '31 days', 'x')",
        "('binance', '', 'quota', now() - interval '1 day', 'x')",
        "('binance', '*', 'manual', NULL, 'x')",
    )
    now = datetime.now(UTC)
    promised = retain(farm.context, now, dry_run=True).summary()["deleted"]
    assert promised == {"quota_use": 1, "provider_holds": 1, "provider_events": 2}
    assert retain(farm.context, now).summary()["deleted"] == promised
    assert farm.select("SELECT kind, after FROM provider_events ORDER BY id") == [
        ("health", "DEGRADED"),
        ("breaker", "half"),
    ]
    assert farm.select("SELECT kind FROM provider_holds ORDER BY 1") == [("manual",), ("quota",)]
    assert farm.value("SELECT count(*) FROM quota_use") == 1
