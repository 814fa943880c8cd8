"""Freshness: from a live slot to its commit, on an idle farm and while history keeps every core busy.

Live are quotes each second and one-minute bars each minute, 50 instruments of each, so that on the minute both fall
together. History is binance's bars on the backfill lane. Each round has three stretches as long: live alone, history
alone, both. Deliberately not here: what a single poll is made of (latency).

Invariant: a slot counts from when it was due to when another connection sees its commit (NOTIFY), every slot counts,
and no figure is printed unless history had work left at the end of each of its stretches.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 (a class with a lower-case name)

from benchmarks.contenders import Bench
from benchmarks.cpu import cpu_s, spent
from benchmarks.pages import INTERVAL, START, mock
from benchmarks.polls import by_group
from benchmarks.stage import context_of, number, running_farm, stage, until
from celeryconfig import LANES
from ingest import providers
from ingest.pipeline import schedule_edits
from ingest.pipeline.audit import By
from ingest.pipeline.context import Context
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.follow import JOB_ROWS, plan_history
from ingest.pipeline.jobs import NewJob, insert_jobs
from ingest.pipeline.workers import wake_leader
from local.port import LOOPBACK

NAME = "freshness"
HELP = "milliseconds from a live slot to its commit, idle and beside a busy backfill; what the backfill keeps"
INSTRUMENTS = 50
PAIRS = tuple(f"F{at:03d}-USDT" for at in range(INSTRUMENTS))
PRODUCTS = tuple(f"F{at:03d}-USD" for at in range(INSTRUMENTS))
#: the entries: how often, what they ask for
LIVE = {
    "quotes": (1.0, "coinbase", {"dataset": "quotes", "instruments": PRODUCTS}),
    "bars": (60.0, "binance", {"dataset": "bars", "instruments": PAIRS, "interval": INTERVAL}),
}
#: Five years before the pages of `ingest`, on the grid that history is cut by: room for long runs.
FIRST = START - timedelta(minutes=JOB_ROWS) * 520
#: More rows a second than this machine could store: what is owed for a stretch of history.
MOST_ROWS_S = 150_000
WARM_UP_POLLS = 6
PATIENCE_S = 60.0
_WARM = "SELECT count(*) FROM jobs WHERE key LIKE 'warm:%' AND state = 'done'"
_OPEN = "SELECT count(*) FROM jobs WHERE lane = 'backfill' AND state IN ('leased', 'fetched')"
_DUE = "SELECT count(*) FROM jobs WHERE lane = 'backfill' AND state = 'due'"
_TROUBLE = "SELECT count(*) FROM jobs WHERE state = 'dead' OR lost_leases + failures > 0"
# Each live slot is told when its commit can be seen.
_TELL = """
CREATE FUNCTION tell_done() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('done', json_build_object('entry', NEW.entry, 'due', extract(epoch FROM NEW.due_at))::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_done AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.entry IS NOT NULL AND NEW.state = 'done' AND OLD.state <> 'done') EXECUTE FUNCTION tell_done();
LISTEN done;
"""


@dataclass
class Figures:
    """What the stretches brought: ms by entry, rows a second, shares of a core in use."""

    idle: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in LIVE})
    busy: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in LIVE})
    alone_rows_s: list[float] = field(default_factory=list)
    beside_rows_s: list[float] = field(default_factory=list)
    busy_cpu_pct: dict[str, float] = field(default_factory=dict)

    def note(self, where: dict[str, list[float]], late: dict[str, list[float]]) -> None:
        """Add a stretch's slots."""
        for name, found in late.items():
            where[name] += found


@dataclass
class Play:
    """A farm that runs, and how far its history is owed."""

    bench: Bench
    context: Context
    connection: Connection
    pids: dict[str, int]
    owed_until: datetime = FIRST

    def warm_up(self) -> None:
        """Let each child of the live lane meet each series of bars: the schedule's first poll may be a minute off."""
        _, provider, kwargs = LIVE["bars"]
        task = f"{FETCH_PREFIX}{provider}"
        polls = [NewJob(f"warm:{at}", task, "live", kwargs, datetime.now(UTC)) for at in range(WARM_UP_POLLS)]
        with self.context.sessions.begin() as session:
            insert_jobs(session, polls)
        wake_leader(self.context.redis)
        with self.connection.cursor() as cursor:
            until(lambda: number(cursor, _WARM) == WARM_UP_POLLS, PATIENCE_S, "the first polls of bars")

    def live(self, seconds: float) -> tuple[dict[str, list[float]], float]:
        """Let live entries run for so long; return the ms of each slot, by entry, and history's rows a second.

        Every slot is waited for.
        """
        began = self._switch(is_on=True)
        with self._rate() as rows_s:
            found = self._watch(began, began + timedelta(seconds=seconds))
        self._switch(is_on=False)
        return found, rows_s[0]

    def alone(self, seconds: float) -> float:
        """Return history's rows a second over so long."""
        with self._rate() as rows_s:
            time.sleep(seconds)
        return rows_s[0]

    @contextmanager
    def history(self, seconds: float) -> Iterator[None]:
        """Keep the backfill lane busy while the block runs, about that long."""
        self._owe(round((seconds + 10) * MOST_ROWS_S))
        with self.connection.cursor() as cursor:
            until(lambda: number(cursor, _OPEN) > 0, PATIENCE_S, "history to begin")
            time.sleep(2.0)  # every child has begun
            yield
            if number(cursor, _DUE) == 0:
                raise RuntimeError("history had no work left: owe more of it")
            cursor.execute("UPDATE jobs SET state = 'cancelled' WHERE lane = 'backfill' AND state = 'due'")
            until(lambda: number(cursor, _OPEN) == 0, PATIENCE_S, "history to end")

    @contextmanager
    def _rate(self) -> Iterator[list[float]]:
        """Put down how many rows of history a second were committed while the block ran."""
        rows_s: list[float] = []
        began, before = time.perf_counter(), self._rows()
        yield rows_s
        rows_s.append((self._rows() - before) / (time.perf_counter() - began))

    def _switch(self, *, is_on: bool) -> datetime:
        """Switch the live entries on or off; return when beat had seen it for sure."""
        names = schedule_edits.Names(LANES, [f"{FETCH_PREFIX}{provider}" for _, provider, _ in LIVE.values()])
        with self.context.sessions.begin() as session:
            for name in LIVE:
                schedule_edits.edit(
                    session, name, {"enabled": is_on}, names, datetime.now(UTC), by=By("benchmark", "command")
                )
        time.sleep(2.5)
        return datetime.now(UTC)

    def _watch(self, began: datetime, ended: datetime) -> dict[str, list[float]]:
        late: dict[str, dict[float, float]] = {name: {} for name in LIVE}
        window = f"due_at > '{began.isoformat()}' AND due_at <= '{ended.isoformat()}' AND entry IS NOT NULL"
        give_up_at = ended + timedelta(seconds=PATIENCE_S)
        with self.connection.cursor() as cursor:
            while datetime.now(UTC) < ended or number(
                cursor, f"SELECT count(*) FROM jobs WHERE {window} AND state IN ('due', 'leased', 'fetched')"
            ):
                if datetime.now(UTC) > give_up_at:
                    raise TimeoutError("live slots were not stored")
                self._hear(late, began.timestamp(), ended.timestamp())
            self._hear(late, began.timestamp(), ended.timestamp())
        for name, (every_s, *_) in LIVE.items():
            expected = int(ended.timestamp() // every_s) - int(began.timestamp() // every_s)
            if len(late[name]) != expected:
                raise RuntimeError(f"expected {expected} slots of {name}, {len(late[name])} were stored")
        return {name: list(slots.values()) for name, slots in late.items()}

    def _hear(self, late: dict[str, dict[float, float]], began: float, ended: float) -> None:
        if select.select([self.connection], [], [], 0.5)[0]:
            now = time.time()
            self.connection.poll()
            for notice in self.connection.notifies:
                told = json.loads(notice.payload)
                if began < told["due"] <= ended:
                    late[told["entry"]].setdefault(told["due"], (now - told["due"]) * 1000)
            self.connection.notifies.clear()

    def _owe(self, rows: int) -> None:
        step = timedelta(minutes=JOB_ROWS)
        end = self.owed_until + step * -(-rows // (JOB_ROWS * INSTRUMENTS))
        with self.context.sessions.begin() as session:
            plan_history(
                session,
                providers.get("binance"),
                PAIRS,
                interval=INTERVAL,
                start=self.owed_until,
                end=end,
                now=datetime.now(UTC),
            )
        self.owed_until = end
        wake_leader(self.context.redis)

    def _rows(self) -> int:
        done = "SELECT coalesce(sum((result->>'rows')::int), 0) FROM jobs WHERE lane = 'backfill' AND state = 'done'"
        return self.bench.stage.number(done)


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--seconds", type=float, default=60, help="each stretch (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=3, help="rounds of three stretches (default: %(default)s)")
    options.add_argument("--warm-up", type=float, default=10, help="seconds before them (default: %(default)s)")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    with stage() as where, mock(where, ()) as (port, pid), closing(where.database()) as connection:
        bench = Bench(where, port, pid)
        environment = {
            "TICKFARM_SANDBOX_URL": f"http://{LOOPBACK}:{port}",
            "TICKFARM_PACE": "False",  # coinbase's own limit is 10 requests a second
            "TICKFARM_SCHEDULE_FILE": str(_page(where.home)),
        }
        with running_farm(where, environment) as supervisor, context_of(where) as context:
            with connection.cursor() as cursor:
                cursor.execute(_TELL)
            play = Play(bench, context, connection, bench.pids() | supervisor.pids())
            with play.history(chosen.warm_up):
                play.warm_up()
                play.live(chosen.warm_up)
            figures = Figures()
            for at in range(chosen.rounds):
                _round(play, figures, chosen.seconds)
                rows = f"{figures.alone_rows_s[-1]:,.0f} rows/s alone, {figures.beside_rows_s[-1]:,.0f} beside live"
                print(f"round {at + 1}: {rows}", file=sys.stderr)
            _verify(bench)
    return _said(figures) | {"machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"}


def _round(play: Play, figures: Figures, seconds: float) -> None:
    late, _ = play.live(seconds)
    figures.note(figures.idle, late)
    with play.history(seconds):
        figures.alone_rows_s.append(play.alone(seconds))
    with play.history(seconds):
        before, began = cpu_s(play.pids), time.perf_counter()
        late, rows_s = play.live(seconds)
        figures.note(figures.busy, late)
        figures.beside_rows_s.append(rows_s)
        figures.busy_cpu_pct = by_group(spent(before, cpu_s(play.pids), per=(time.perf_counter() - began) / 100))


def _said(figures: Figures) -> dict[str, Any]:
    idle, busy = (_spread([one for late in each.values() for one in late]) for each in (figures.idle, figures.busy))
    alone, beside = median(figures.alone_rows_s), median(figures.beside_rows_s)
    return {
        "idle_p95_ms": idle["p95_ms"],
        "busy_p95_ms": busy["p95_ms"],
        "ratio_busy_idle": round(busy["p95_ms"] / idle["p95_ms"], 2),
        "backfill_kept_pct": round(100 * beside / alone, 1),
        "alone_rows_s": round(alone),
        "beside_rows_s": round(beside),
        "idle": {name: _spread(late) for name, late in figures.idle.items() if late},
        "busy": {name: _spread(late) for name, late in figures.busy.items() if late},
        "busy_cpu_pct": figures.busy_cpu_pct,
    }


def _spread(late: list[float]) -> dict[str, float]:
    hundredths = quantiles(late, n=100, method="inclusive") if len(late) > 1 else late * 99
    found = {f"p{percent}_ms": round(hundredths[percent - 1], 1) for percent in (50, 95)}
    return {"slots": len(late), **found, "max_ms": round(max(late), 1)}


def _verify(bench: Bench) -> None:
    """Look for what must not have happened. Raises RuntimeError: then there is no figure."""
    count = bench.stage.number
    found = {"jobs in trouble": count(_TROUBLE), "findings": count("SELECT count(*) FROM findings")}
    if any(found.values()):
        raise RuntimeError(f"expected none of these, found {found}")


def _page(home: Path) -> Path:
    """Write the schedule: both entries, paused. Each slot is owed, however late those before it are."""
    ours = {"enabled": False, "overlap": True, "catch_up": "all", "catch_up_limit": 100}
    entries = {
        name: {
            "task": f"{FETCH_PREFIX}{provider}",
            "schedule": every_s,
            "kwargs": kwargs,
            "options": {"queue": "live", "headers": {"tickfarm": {**ours, "priority": at + 1}}},
        }
        for at, (name, (every_s, provider, kwargs)) in enumerate(LIVE.items())
    }
    page = home / "freshness_schedule.py"
    page.write_text(f'"""The benchmark\'s."""\n\nbeat_schedule = {entries!r}\n')
    return page
