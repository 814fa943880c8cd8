"""Health: what figures of real traffic say of a provider, and of the farm.

Pure; deliberately not here: reading the figures (health_figures) and reporting changes (health_watch). Invariant: more
errors, or slower answers, never make a state better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ingest.transport.traffic import Traffic

State = Literal["IDLE", "HEALTHY", "DEGRADED", "CRITICAL", "OFFLINE"]
#: IDLE: nothing was asked, so nothing is known. It is no fault.
RANK: Final[Mapping[State, int]] = {"IDLE": 0, "HEALTHY": 1, "DEGRADED": 2, "CRITICAL": 3, "OFFLINE": 4}
#: Errors as a share of requests: from here on, the last one above. HEALTHY is below the first.
DEGRADED_ERRORS: Final = 0.10
CRITICAL_ERRORS: Final = 0.20
OFFLINE_ERRORS: Final = 0.50
#: The latency that 95 % of the requests do not exceed: from here on, the second one above.
DEGRADED_MS: Final = 2_000.0
CRITICAL_MS: Final = 5_000.0
#: To be called better, figures must clear a bound by a fifth: who hovers at one is called the worse, once.
CLEAR: Final = 0.8


@dataclass(frozen=True, slots=True)
class Judged:
    """A state and the reasons for it; none where it is HEALTHY."""

    state: State
    reasons: tuple[str, ...] = ()

    @property
    def is_ill(self) -> bool:
        """Say whether somebody should look."""
        return RANK[self.state] >= RANK["DEGRADED"]


def worst(states: Iterable[State]) -> State:
    """Return the worst of these states; IDLE where there are none."""
    return max(states, key=RANK.__getitem__, default="IDLE")


def judge(traffic: Traffic, *, is_shut: bool = False, bound: float = 1.0) -> Judged:
    """Return what a provider's traffic says. `is_shut`: breakers leave none of its addresses open.

    `bound` moves every bound by that factor.
    """
    by_errors = _by_errors(traffic.share(traffic.errors), bound)
    p95_ms = traffic.percentile_ms(95)
    by_latency = _by_latency(p95_ms or 0.0, bound)
    reasons = []
    if is_shut:
        reasons.append("the breaker of every address is open")
    if by_errors != "HEALTHY":
        share = traffic.share(traffic.errors)
        reasons.append(f"{traffic.errors} of {traffic.requests} requests failed ({share:.1%})")
    if by_latency != "HEALTHY" and p95_ms is not None:
        reasons.append(f"p95 is {p95_ms / 1000:.1f} s")
    if is_shut:
        return Judged("OFFLINE", tuple(reasons))
    if not traffic.requests:
        return Judged("IDLE", ("nothing was asked in the last five minutes",))
    return Judged(worst((by_errors, by_latency)), tuple(reasons))


def _by_errors(share: float, bound: float) -> State:
    if share > OFFLINE_ERRORS * bound:
        return "OFFLINE"
    if share >= CRITICAL_ERRORS * bound:
        return "CRITICAL"
    return "DEGRADED" if share >= DEGRADED_ERRORS * bound else "HEALTHY"


def _by_latency(p95_ms: float, bound: float) -> State:
    if p95_ms > CRITICAL_MS * bound:
        return "CRITICAL"
    return "DEGRADED" if p95_ms >= DEGRADED_MS * bound else "HEALTHY"


@dataclass(frozen=True, slots=True)
class Settled:
    """The state that is reported, and what the last check wanted to report (`leaning`; the same where nothing)."""

    reported: State
    leaning: State


def settle(before: Settled, traffic: Traffic, *, is_shut: bool) -> Settled:
    """Return what is to be reported after one more check.

    A change is reported when two checks in a row want it: the milder of two that are worse, the less good of two that
    are better. Better counts only where the figures clear every bound by a fifth. A breaker has waited long enough
    itself: that it leaves no address open is reported at once.
    """
    if is_shut:
        return Settled("OFFLINE", "OFFLINE")
    seen, now = judge(traffic).state, before.reported
    if RANK[seen] < RANK[now]:
        # Never above what is reported: a bound that is not cleared keeps a state, it is no reason for a worse one.
        seen = min(judge(traffic, bound=CLEAR).state, now, key=RANK.__getitem__)
    if RANK[seen] > RANK[now] and RANK[before.leaning] > RANK[now]:
        now = min(seen, before.leaning, key=RANK.__getitem__)
    elif RANK[seen] < RANK[now] and RANK[before.leaning] < RANK[now]:
        now = max(seen, before.leaning, key=RANK.__getitem__)
    return Settled(now, seen)


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Jobs that ended within the last hour. Cancelled ones are neither a success nor a failure."""

    succeeded: int = 0
    dead: int = 0
    expired: int = 0
    cancelled: int = 0

    @property
    def failed(self) -> int:
        """Return how many were given up, or never begun in time."""
        return self.dead + self.expired

    @property
    def failed_share(self) -> float:
        """Return the failures as a share of what succeeded or failed."""
        return self.failed / (self.succeeded + self.failed) if self.failed else 0.0


@dataclass(frozen=True, slots=True)
class FarmFigures:
    """What the farm is judged by. `providers` holds the state of each; `lanes` how many children serve each lane.

    `waiting` are the lanes in which something is due now.
    """

    traffic: Traffic
    providers: Mapping[str, State]
    lanes: Mapping[str, int]
    waiting: frozenset[str] = frozenset()
    has_leader: bool = True
    jobs: JobCounts = field(default_factory=JobCounts)


def judge_farm(figures: FarmFigures) -> Judged:
    """Return the farm's verdict: the worst that any of its parts says, with every reason.

    One provider that is ill makes the farm DEGRADED at most: the others are served. It is OFFLINE where nobody leads,
    no worker is there, or all providers that are asked are OFFLINE.
    """
    found = [*_of_processes(figures), *_of_providers(figures), *_of_jobs(figures.jobs)]
    overall = judge(figures.traffic)
    if overall.is_ill:
        # Whether everything is OFFLINE is said of the providers: a share of all requests says how bad, not who is away.
        state = min(overall.state, "CRITICAL", key=RANK.__getitem__)
        found.append((state, f"over all providers {' and '.join(overall.reasons)}"))
    reasons = tuple(reason for _, reason in found)
    return Judged(worst([overall.state if not overall.is_ill else "HEALTHY", *(state for state, _ in found)]), reasons)


def _of_processes(figures: FarmFigures) -> list[tuple[State, str]]:
    found: list[tuple[State, str]] = []
    if not figures.has_leader:
        found.append(("OFFLINE", "nobody leads: no beat is there, or it can't reach the database"))
    without = [lane for lane, children in figures.lanes.items() if not children]
    if len(without) == len(figures.lanes):
        return [*found, ("OFFLINE", "no worker is there")]
    for lane in without:
        waits = lane in figures.waiting
        found.append(
            ("CRITICAL" if waits else "DEGRADED", f"nobody serves the {lane} lane" + ", its jobs wait" * waits)
        )
    return found


def _of_providers(figures: FarmFigures) -> list[tuple[State, str]]:
    asked = {name: state for name, state in figures.providers.items() if state != "IDLE"}
    found: list[tuple[State, str]] = [
        ("DEGRADED", f"{name} is {state}") for name, state in asked.items() if RANK[state] >= RANK["DEGRADED"]
    ]
    if asked and set(asked.values()) == {"OFFLINE"}:
        found.append(("OFFLINE", "every provider that is asked is OFFLINE"))
    return found


def _of_jobs(jobs: JobCounts) -> list[tuple[State, str]]:
    state = _by_errors(jobs.failed_share, 1.0)
    if state == "HEALTHY":
        return []
    said = f"{jobs.failed} of {jobs.succeeded + jobs.failed} jobs of the last hour failed"
    return [("CRITICAL" if state == "OFFLINE" else state, f"{said} ({jobs.dead} dead, {jobs.expired} expired)")]
