"""Latency: from a quote poll's slot to its commit, of the real schedule entry on an otherwise idle farm.

Deliberately not here: latency under a busy backfill. Invariant: every moment is taken when another connection can see
the commit (NOTIFY arrives after it), never from a column that the writer filled in before it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from statistics import mean, quantiles
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 (a class with a lower-case name)

from benchmarks.cpu import cpu_s, spent
from benchmarks.stage import context_of, running_farm, stage
from ingest import providers
from ingest.pipeline.follow import follow
from local.port import free_port

NAME = "latency"
HELP = "milliseconds from a quote poll's slot to its committed rows, on an idle farm"
ENTRY = "binance-quotes"
PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
#: The moments of a job, in order. What lies between two of them is one part of the latency.
MOMENTS = ("due", "leased", "started", "committed")
#: A second's slot that takes this long counts as lost.
PATIENCE_S = 30.0

# Each transition of the entry's jobs is told when it can be seen. `started_at` is empty until the step begins.
_TELL = f"""
CREATE FUNCTION tell_moment() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('moments', json_build_object('id', NEW.id, 'due', extract(epoch FROM NEW.due_at), 'moment',
        CASE WHEN NEW.state = 'done' THEN 'committed'
             WHEN NEW.state = 'leased' AND NEW.started_at IS NULL THEN 'leased'
             WHEN NEW.state = 'leased' THEN 'started'
             ELSE NEW.state END)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_moment AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.entry = '{ENTRY}') EXECUTE FUNCTION tell_moment();
LISTEN moments;
"""


@dataclass
class Watch:
    """What was seen of each job: when it was due, and when each later moment could first be seen (epoch seconds)."""

    connection: Connection
    seen: dict[int, dict[str, float]] = field(default_factory=dict)

    def done(self, slots: int) -> dict[int, dict[str, float]]:
        """Watch until so many jobs that were seen from the start are done; return those. Raises TimeoutError."""
        finished: dict[int, dict[str, float]] = {}
        deadline = time.monotonic() + slots + PATIENCE_S
        while len(finished) < slots:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"saw {len(finished)} of {slots} polls done; the last: {list(self.seen.items())[-1:]}"
                )
            if not select.select([self.connection], [], [], 1.0)[0]:
                continue
            now = time.time()
            self.connection.poll()
            for notice in self.connection.notifies:
                told = json.loads(notice.payload)
                moments = self.seen.setdefault(told["id"], {"due": told["due"]})
                moments.setdefault(told["moment"], now)
                if told["moment"] == "committed" and set(MOMENTS) <= moments.keys():
                    finished[told["id"]] = moments
            self.connection.notifies.clear()
        return finished


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--slots", type=int, default=90, help="polls that count (default: %(default)s)")
    options.add_argument("--warm-up", type=int, default=10, help="polls before them (default: %(default)s)")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    with (
        stage() as where,
        closing(where.database()) as connection,
        running_farm(where, {}, sandbox_port=free_port()) as supervisor,
        context_of(where) as context,
    ):
        with context.sessions.begin() as session:
            now = datetime.now(UTC)
            follow(session, providers.get("binance"), "quotes", PAIRS, interval=None, since=None, now=now)
        with connection.cursor() as cursor:
            cursor.execute(_TELL)
        watch = Watch(connection)
        watch.done(chosen.warm_up)
        pids = _pids(supervisor.pids(), where.servers.postgres, where.servers.valkey)
        before, load = cpu_s(pids), os.getloadavg()[0]
        jobs = watch.done(chosen.slots)
        used = spent(before, cpu_s(pids), per=chosen.slots / 1e3)
        _verify(connection, jobs)
    figures = _figures(list(jobs.values()))
    machine = f"{os.cpu_count()} cores, load {load:.1f} before, {os.getloadavg()[0]:.1f} at the end"
    return {"slots": chosen.slots, **figures, "cpu_ms_per_s": used, "machine": machine}


def _figures(jobs: list[dict[str, float]]) -> dict[str, Any]:
    whole = sorted((one["committed"] - one["due"]) * 1000 for one in jobs)
    hundredths = quantiles(whole, n=100, method="inclusive")
    parts = {
        f"{first}_to_{then}_ms": _spread([(one[then] - one[first]) * 1000 for one in jobs])
        for first, then in pairwise(MOMENTS)
    }
    return {
        "mean_ms": round(mean(whole), 1),
        **{f"p{percent}_ms": round(hundredths[percent - 1], 1) for percent in (50, 95, 99)},
        "max_ms": round(whole[-1], 1),
        "parts": parts,
    }


def _spread(values: list[float]) -> dict[str, float]:
    hundredths = quantiles(values, n=100, method="inclusive")
    return {"mean": round(mean(values), 1), "p50": round(hundredths[49], 1), "p95": round(hundredths[94], 1)}


def _verify(connection: Connection, jobs: Mapping[int, Any]) -> None:
    """Look for every poll's row of every pair. Raises RuntimeError: then there is no figure."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT job_id) FROM quotes WHERE job_id = ANY(%s)", (list(jobs),))
        found = cursor.fetchone()
    expected = (len(jobs) * len(PAIRS), len(jobs))
    if found != expected:
        raise RuntimeError(f"expected (quotes, polls) {expected}, found {found}")
    print(f"{expected[0]} quotes of {expected[1]} polls are in the table", file=sys.stderr)


def _pids(farm: dict[str, int], *servers: Any) -> dict[str, int]:
    return farm | {server.name.lower(): server.pid for server in servers if server is not None}
