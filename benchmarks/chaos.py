"""Chaos: live polls and a history at work while processes are killed and stopped, servers restarted, the provider ill.

Deliberately not here: the blows (blows.py). Invariant: a row counts as lost whatever the ledger says of it: expected is
what the clock and the sandbox say, stored is what the table holds when the farm has had its time to heal.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from benchmarks.blows import Storm
from benchmarks.fault_sandbox import SandboxControl
from benchmarks.sandboxed import sandboxed
from benchmarks.stage import Stage, context_of, running_farm
from ingest import providers
from ingest.pipeline.context import Context
from ingest.pipeline.coverage import coverage
from ingest.pipeline.follow import follow, plan_history
from local.processes import Supervisor

NAME = "chaos"
HELP = "kills, stops, restarts, an ill provider: what is lost, twice, stuck or over budget when it is over"
VERDICTS = ("lost", "duplicated", "stuck", "over_budget")
_PROVIDER = "binance"
_PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "ADA-USDT")
_INTERVAL = "1m"
#: What the sandbox enforces and the farm is told. Small, so that history lasts as long as the storm whatever the
#: machine: a page of 1,000 bars weighs 2, so that 480 of 600 a minute are for history, a fifth is kept for live polls.
_WEIGHT = 1_200
_HISTORY_ROWS_S = 0.6 * _WEIGHT / 2 * 1_000 / 60
#: After the last blow. A day that was answered short twice is asked for again after ten minutes, not before.
_HEALED_WITHIN_S = 1_200.0
#: Nothing that is owed waits longer than this once all is well: the longest wait between two tries is a minute.
_STUCK_AFTER = timedelta(minutes=2)

_SCHEDULE = f'''"""Chaos': live polls, and the check of gaps often enough for a benchmark."""


def _live(every_s, **kwargs):
    options = {{"queue": "live", "expires": 10, "headers": {{"tickfarm": {{"priority": 1}}}}}}
    return {{"task": "tasks.fetch.{_PROVIDER}", "schedule": every_s, "kwargs": kwargs, "options": options}}


beat_schedule = {{
    "quotes": _live(2.0, dataset="quotes"),
    "bars": _live(30.0, dataset="bars", interval="{_INTERVAL}"),
    "gaps": {{"task": "tasks.gaps", "schedule": 20.0, "options": {{"queue": "maintenance", "expires": 20}}}},
}}
'''


@dataclass(frozen=True, slots=True)
class _Left:
    """What is there when the farm has had its time."""

    expected: int
    stored: int
    duplicated: int
    stuck: int
    unproven_days: int

    @property
    def lost(self) -> int:
        return self.expected - self.stored


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--seconds", type=float, default=300.0, help="blows go on so long (default: %(default)s)")
    options.add_argument("--seed", type=int, help="repeats a run's blows (default: one of the machine's, printed)")


def is_bad(figures: Mapping[str, Any]) -> bool:
    """Say whether a figure that must be 0 is not."""
    return any(figures[name] for name in VERDICTS)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Let the storm pass over a farm, wait until it has healed, and count."""
    seed = secrets.randbelow(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", file=sys.stderr)
    with sandboxed() as (where, sandbox), context_of(where) as context:
        sandbox.no_limits(_PROVIDER, weight_per_minute=_WEIGHT)
        since = _follow(context, chosen.seconds)
        with running_farm(where, _settings(where, sandbox)) as farm:
            storm = Storm(where, farm, sandbox, _PROVIDER, seed)
            _rage(where, farm, storm, chosen.seconds)
            calm_at = datetime.now(UTC)
            healed_s = _heal(where, farm, context, since, calm_at)
            with context.sessions() as session:
                left = _left(session, context, since, calm_at)
                told = _told(session)
                for row in session.execute(text("SELECT * FROM revisions ORDER BY ts LIMIT 10")).mappings():
                    print(f"  revised: {dict(row)}", file=sys.stderr)
        statuses = sandbox.requests_of(_PROVIDER)["by_status"]
    return {
        **{name: getattr(left, name) for name in VERDICTS[:3]},
        # None of the faults answers 429: each one is of our own making.
        "over_budget": statuses.get("429", 0) + storm.sent_while_held,
        "seed": seed,
        "healed_s": healed_s,
        "rows": left.stored,
        "unproven_days": left.unproven_days,
        "blows": dict(sorted(storm.struck.items())),
        "requests": statuses,
        **told,
    }


def _settings(where: Stage, sandbox: SandboxControl) -> dict[str, str]:
    page = where.home / "chaos_schedule.py"
    page.write_text(_SCHEDULE)
    return {
        "TICKFARM_SANDBOX_URL": sandbox.url,
        "TICKFARM_SCHEDULE_FILE": str(page),
        f"TICKFARM_PROVIDERS__{_PROVIDER.upper()}__LIMITS": f"{_WEIGHT} weight/1m",
    }


def _follow(context: Context, seconds: float) -> datetime:
    """Follow the pairs with a history that takes about as long as the storm; return where it begins."""
    provider, now = providers.get(_PROVIDER), datetime.now(UTC)
    since = now - timedelta(minutes=_HISTORY_ROWS_S * seconds / len(_PAIRS))
    since = since.replace(second=0, microsecond=0)
    with context.sessions.begin() as session:
        follow(session, provider, "quotes", _PAIRS, interval=None, since=now, now=now)
        follow(session, provider, "bars", _PAIRS, interval=_INTERVAL, since=since, now=now)
        plan_history(session, provider, _PAIRS, interval=_INTERVAL, start=since, end=now, now=now)
    return since


def _rage(where: Stage, farm: Supervisor, storm: Storm, seconds: float) -> None:
    ends = time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            blow = storm.strike()
            said = [f"  {seconds - (ends - time.monotonic()):.0f} s {blow}"] if blow else []
            for line in (*said, *_mend(where, farm)):
                print(line, file=sys.stderr)
            time.sleep(0.05)
    finally:
        storm.calm()


def _mend(where: Stage, farm: Supervisor) -> list[str]:
    """Do what the owner of a farm on one machine does: start again what has died."""
    return [*where.servers.revive(), *farm.poll()]


def _heal(where: Stage, farm: Supervisor, context: Context, since: datetime, calm_at: datetime) -> float:
    """Wait until every row is there and nothing is stuck, or the time is over; return the seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < _HEALED_WITHIN_S:
        _mend(where, farm)
        try:
            with context.sessions() as session:
                left = _left(session, context, since, calm_at)
        except OperationalError:
            continue  # our connection is of before a restart
        if not (left.lost or left.stuck):
            break
        time.sleep(1.0)
    return round(time.monotonic() - began, 1)


_STORED = text(f"""
    SELECT count(*) FROM bars JOIN series ON id = series_id
    WHERE provider = '{_PROVIDER}' AND interval = '{_INTERVAL}' AND ts >= :since AND ts < :until AND is_final
""")
#: The sandbox never changes what it said, and a key is there once: what was written twice shows in these.
_TWICE = text("""
    SELECT (SELECT count(*) FROM revisions)
        + (SELECT count(*) - count(DISTINCT (series_id, ts)) FROM bars)
        + (SELECT count(*) FROM (
            SELECT series_id, sum(stored) AS known FROM ledger JOIN series ON id = series_id AND dataset = 'bars'
            GROUP BY 1) AS told JOIN LATERAL
            (SELECT count(*) AS there FROM bars WHERE bars.series_id = told.series_id) AS kept ON known <> there)
""")
_STUCK = text("""
    SELECT (SELECT count(*) FROM jobs WHERE state IN ('leased', 'fetched') AND created_at < :calm
            AND coalesce(started_at, lease_until) < :before)
        + (SELECT count(*) FROM jobs WHERE state = 'due' AND due_at < :before)
        + (SELECT count(*) FROM schedule_runs WHERE finished_at IS NULL AND slot < :before)
""")


def _left(session: Session, context: Context, since: datetime, calm_at: datetime) -> _Left:
    """Count what is there of all that was over when the last blow fell."""
    now = datetime.now(UTC)
    until_ts = calm_at.replace(second=0, microsecond=0) - timedelta(minutes=1)
    expected = len(_PAIRS) * int((until_ts - since) / timedelta(minutes=1))
    stored = int(session.scalar(_STORED, {"since": since, "until": until_ts}) or 0)
    duplicated = int(session.scalar(_TWICE) or 0)
    stuck = int(session.scalar(_STUCK, {"calm": calm_at, "before": now - _STUCK_AFTER}) or 0)
    proof = coverage(session, context.settings, now)
    session.rollback()
    unproven = sum(one.gap_days for one in proof if one.dataset == "bars")
    return _Left(expected, stored, duplicated, stuck, unproven)


def _told(session: Session) -> dict[str, Any]:
    """Return how the farm counted what was done to it."""
    jobs = session.execute(text("SELECT state, count(*) FROM jobs GROUP BY 1 ORDER BY 1")).all()
    lost = session.scalar(text("SELECT coalesce(sum(lost_leases), 0) FROM jobs"))
    letters = session.scalar(text("SELECT count(*) FROM dead_letters"))
    return {"jobs": {row[0]: row[1] for row in jobs}, "lost_leases": int(lost or 0), "dead_letters": int(letters or 0)}
