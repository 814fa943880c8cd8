"""Play one row of the fault matrix: make the provider ill, owe a day of it, end the illness, judge what became of both.

Where it is played (this process, or a farm of real workers) is a `Ground`. Deliberately not here: the rows
(fault_table) and judging (fault_verdict). Invariant: a fault that no request met gives no figures, but an error.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.fault_sandbox import SandboxControl
from benchmarks.fault_table import ILL, ILL_INSTRUMENTS, INTERVAL, Scenario, State
from benchmarks.fault_verdict import Day, healthy_s, jobs_by_state, judge, p95_ms, reported
from ingest import providers
from ingest.pipeline import dead_letters
from ingest.pipeline.audit import By
from ingest.pipeline.follow import JOB_ROWS, plan_history
from models import DeadLetter

#: On the grid that history is cut by, so that a day of 1,440 rows, or one of 5,000, is one job.
_FIRST_START = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=JOB_ROWS) * 5_155  # January 2019
#: A lost connection is back after so many failures: fewer than are forgiven.
_FAILURES_BEFORE_BACK = 2
_AT_WORK = ("due", "leased", "fetched")


class Ground(Protocol):
    """Where a scenario is played. `work` does or waits for the farm's work until a condition holds."""

    sandbox: SandboxControl
    sessions: sessionmaker[Session]

    def work(self, until: Callable[[], bool], what: str) -> None:
        """Let the farm work. Raises an error that names `what` where the condition does not come to hold."""

    def owed(self) -> None:
        """Take note that something is owed: who looks for work only now and then looks now."""

    def lose(self, what: Literal["connection", "name"]) -> None:
        """Take the ill provider's address away: refused from now on, or a name that does not resolve."""

    def restore(self, what: Literal["connection", "name"]) -> None:
        """Give it back."""


@dataclass
class Played:
    """What came of one scenario, over one round or more."""

    scenario: Scenario
    states: Counter[State] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    fetches: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    asked: int = 0
    stored: int = 0
    missing: int = 0
    unreported: int = 0
    duplicates: int = 0
    sent_while_banned: int = 0
    went_elsewhere: int = 0
    seconds: float = 0.0
    healthy: list[float] = field(default_factory=list)

    def figures(self, quiet: Sequence[float]) -> dict[str, Any]:
        """Return the row of the matrix. `quiet` are the healthy provider's polls while nobody was ill."""
        before, during = p95_ms(quiet), p95_ms(self.healthy)
        return {
            "state": " and ".join(sorted(self.states)),
            "as_expected": set(self.states) == {self.scenario.expects},
            "rows": {"asked": self.asked, "stored": self.stored, "missing": self.missing},
            "requests": dict(self.requests),
            "fetches": dict(self.fetches),
            "findings": dict(self.findings),
            "dead_letters": dict(self.dead_letters),
            "first_error": self.error,
            "healthy": {
                "polls": len(self.healthy),
                "p95_ms_before": before,
                "p95_ms": during,
                "ratio": round(during / before, 2) if before and self.healthy else None,
            },
            "unreported": self.unreported,
            "duplicates": self.duplicates,
            "sent_while_banned": self.sent_while_banned,
            "went_elsewhere": self.went_elsewhere,
            "seconds": round(self.seconds, 1),
        }


def days(minutes: int, series: int = 1) -> Iterator[Day]:
    """Yield days of the ill provider that nobody has asked for yet, each a job (or one a series)."""
    start = _FIRST_START
    while True:
        yield Day(ILL_INSTRUMENTS[:series], start, start + timedelta(minutes=minutes))
        start += timedelta(minutes=JOB_ROWS)


def play(ground: Ground, scenario: Scenario, unasked: Iterator[Day], *, at_least_s: float = 0.0) -> Played:
    """Play the scenario, again and again with new days until so much time has passed; return what came of it."""
    played, began = Played(scenario), time.monotonic()
    while True:
        _round(ground, played, next(unasked))
        played.seconds = time.monotonic() - began
        if played.seconds >= at_least_s:
            return played


def _round(ground: Ground, played: Played, day: Day) -> None:
    scenario = played.scenario
    ground.sandbox.clear()
    for arm in scenario.arms:
        ground.sandbox.arm(ILL, arm)
    if scenario.lost:
        ground.lose(scenario.lost)
    since = polls_since = datetime.now(UTC)
    _owe(ground, day)
    if scenario.is_outage:
        ground.work(lambda: _failures(ground, since) >= _FAILURES_BEFORE_BACK, "the provider to be missed")
        if scenario.lost:
            _note_polls(ground, played, polls_since)
            ground.restore(scenario.lost)
            polls_since = datetime.now(UTC)
        _end_illness(ground, played)
    ground.work(lambda: _is_over(ground), "the ill provider's jobs to end")
    _note_polls(ground, played, polls_since)
    if not scenario.is_outage:
        _end_illness(ground, played)
    with ground.sessions() as session:
        first = judge(session, day)
    letters = _requeue(ground)
    if letters:
        ground.work(lambda: _is_over(ground), "the requeued jobs to end")
    with ground.sessions() as session:
        last = judge(session, day)
        _tell(played, reported(session, since))
    whole_after_all: State = "given_up" if letters and not last.missing else "reported"
    played.states["whole" if not first.missing else whole_after_all] += 1
    played.asked += day.rows
    played.stored += last.stored
    played.missing += last.missing
    played.unreported += max(first.unreported, last.unreported)
    played.duplicates += max(first.duplicates, last.duplicates)
    asked = ground.sandbox.requests_of(ILL)
    played.requests.update({"sent": asked["total"]} | {f"status {one}": n for one, n in asked["by_status"].items()})
    played.went_elsewhere += ground.sandbox.went_elsewhere()


def _note_polls(ground: Ground, played: Played, since: datetime) -> None:
    """Take the healthy provider's polls up to now; before the name is restored too, which may stop the farm."""
    with ground.sessions() as session:
        played.healthy += healthy_s(session, since, datetime.now(UTC))


def _owe(ground: Ground, day: Day) -> None:
    now = datetime.now(UTC)
    with ground.sessions.begin() as session:
        provider = providers.get(ILL)
        plan_history(session, provider, day.instruments, interval=INTERVAL, start=day.start, end=day.end, now=now)
    ground.owed()


def _end_illness(ground: Ground, played: Played) -> None:
    """Disarm the faults, once it is known what they did. Raises RuntimeError where one met no request."""
    rules = ground.sandbox.armed()
    unmet = [rule["fault"] for rule in rules if not rule["fired"]]
    if unmet:
        raise RuntimeError(f"{played.scenario.name}: no request met {', '.join(unmet)}")
    played.sent_while_banned += sum(rule["sent_while_held"] for rule in rules)
    ground.sandbox.disarm()


def _requeue(ground: Ground) -> int:
    """Requeue every open dead letter of the ill provider, as a person would; return how many there were."""
    with ground.sessions.begin() as session:
        task = f"tasks.fetch.{ILL}"
        ids = session.scalars(select(DeadLetter.id).where(DeadLetter.state == "open", DeadLetter.task == task)).all()
        for one in ids:
            dead_letters.requeue(
                session, one, lanes=("backfill",), now=datetime.now(UTC), by=By("benchmark", "command")
            )
    ground.owed()
    return len(ids)


def _is_over(ground: Ground) -> bool:
    with ground.sessions() as session:
        return not set(jobs_by_state(session)) & set(_AT_WORK)


def _failures(ground: Ground, since: datetime) -> int:
    query = text(f"SELECT count(*) FROM fetch_log WHERE provider = '{ILL}' AND failed > 0 AND at >= :since")
    with ground.sessions() as session:
        return int(session.scalar(query, {"since": since}) or 0)


def _tell(played: Played, told: dict[str, Any]) -> None:
    played.fetches.update(told["fetches"])
    played.findings.update(told["findings"])
    played.dead_letters.update(told["dead_letters"])
    played.error = played.error or told["first_error"]
