"""Mutation: rows of a verified database are altered behind the ledger's back, round by round, and must be found.

In this process, against a sandbox and embedded servers. Deliberately not here: the harm (harm.py). Invariant: a round
counts as healed only where every day's hash is what it was before the first round, in the ledger and in the table.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import text

from benchmarks.conformance_play import run_due
from benchmarks.fault_sandbox import SandboxControl
from benchmarks.harm import HARMS
from benchmarks.sandboxed import sandboxed
from ingest import providers
from ingest.pipeline.context import Context
from ingest.pipeline.coverage import coverage
from ingest.pipeline.follow import follow
from ingest.pipeline.gaps import check
from ingest.pipeline.scrub import scrub
from models.upsert import row_hash

NAME = "mutation"
HELP = "rows altered behind the ledger's back: found, healed, and no false alarm"
_PROVIDER, _INSTRUMENT = "binance", "BTC-USDT"
_FIRST = datetime(2024, 3, 4, tzinfo=UTC)
_CHECKS = 6


@dataclass(slots=True)
class _Score:
    altered: int = 0
    detected: int = 0
    healed: int = 0
    false_alarms: int = 0
    rows: int = 0
    scrub_s: float = 0.0
    rounds: dict[str, int] = field(default_factory=dict)


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--rounds", type=int, default=100, help="alterations (default: %(default)s)")
    options.add_argument("--days", type=int, default=7, help="days of one-minute bars (default: %(default)s)")
    options.add_argument("--seed", type=int, default=7, help="repeats a run (default: %(default)s)")


def is_bad(figures: Mapping[str, Any]) -> bool:
    """Say whether something was not found, not healed, or found where nothing was done."""
    return bool(figures["detected_pct"] < 100 or figures["healed_pct"] < 100 or figures["false_alarms"])


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Alter, scrub, heal, compare; return the share that was found and healed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # stdout is for figures
    with sandboxed() as (ground, sandbox):
        changes = {"tickfarm_sandbox_url": sandbox.url, "tickfarm_pace": False, "tickfarm_connections": 8}
        with closing(Context(ground.settings().model_copy(update=changes), name="mutation")) as context:
            return _play(context, sandbox, chosen)


def _play(context: Context, sandbox: SandboxControl, chosen: argparse.Namespace) -> dict[str, Any]:
    _follow(context, chosen.days)
    _heal(context, sandbox)
    before, dice, score = _hashes(context), random.Random(chosen.seed), _Score()
    days = [day for day, _ in before]
    if len(days) != chosen.days or not _is_proven(context):
        raise RuntimeError(f"the days that are to be altered are not verified: {before}")
    for at in range(chosen.rounds):
        harm = HARMS[at % len(HARMS)]
        with context.sessions.begin() as session:
            [series] = session.scalars(text("SELECT id FROM series")).all()
            hit = harm(session, series, days, dice)
        _round(context, sandbox, hit, before, score)
        score.rounds[harm.__name__] = score.rounds.get(harm.__name__, 0) + 1
    return {
        "detected_pct": round(100 * score.detected / score.altered, 2),
        "healed_pct": round(100 * score.healed / chosen.rounds, 2),
        "false_alarms": score.false_alarms,
        "altered_days": score.altered,
        "rounds": score.rounds,
        "scrub_rows_s": round(score.rows / score.scrub_s),
        "seed": chosen.seed,
    }


def _round(
    context: Context, sandbox: SandboxControl, hit: set[date], before: list[tuple[date, int]], score: _Score
) -> None:
    began = time.monotonic()
    done = scrub(context, datetime.now(UTC))
    score.scrub_s += time.monotonic() - began
    score.rows += done.rows
    found = {one.day for one in done.altered}
    score.altered += len(hit)
    score.detected += len(hit & found)
    score.false_alarms += len(found - hit)
    _heal(context, sandbox)
    is_whole = _hashes(context) == before and _is_proven(context)
    score.healed += is_whole
    score.false_alarms += len(scrub(context, datetime.now(UTC)).altered) if is_whole else 0


def _follow(context: Context, days: int) -> None:
    now = datetime.now(UTC)
    with context.sessions.begin() as session:
        follow(session, providers.get(_PROVIDER), "bars", [_INSTRUMENT], interval="1m", since=_FIRST, now=now)
        session.execute(text("UPDATE series SET until = :until"), {"until": _FIRST + timedelta(days=days)})
        session.execute(text("DELETE FROM jobs"))  # the first poll: its bars are of today


def _heal(context: Context, sandbox: SandboxControl) -> None:
    for _ in range(_CHECKS):
        if not check(context, datetime.now(UTC)).jobs:
            return
        run_due(context, sandbox, _PROVIDER, lane="backfill")


def _hashes(context: Context) -> list[tuple[date, int]]:
    """Return each day's hash; where ledger and table differ, what the table holds."""
    query = (
        f"SELECT (ts AT TIME ZONE 'UTC')::date AS day, bit_xor({row_hash('bars', 'bars')}) AS hash FROM bars GROUP BY 1"
        " EXCEPT SELECT day, hash FROM ledger"
    )
    with context.sessions() as session:
        differing = session.execute(text(query)).all()
        known = session.execute(text("SELECT day, hash FROM ledger ORDER BY day")).all()
    return [(row.day, row.hash) for row in differing or known]


def _is_proven(context: Context) -> bool:
    with context.sessions() as session:
        return all(one.is_proven for one in coverage(session, context.settings, datetime.now(UTC)))
