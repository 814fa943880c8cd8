"""What the gate has counted, for whoever looks: traffic of the last minutes, breakers, shares of windows in use.

Reads only, and changes nothing that the gate decides by. Deliberately not here: what it means (pipeline/health).
Invariant: a look costs one or two round trips, however many providers there are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast

from redis import Redis

from ingest.transport.budget import Window
from ingest.transport.gate import LATENCY_STEP, gate_key, traffic_key

#: Health is judged by the last five minutes: some hundred requests of a provider that is polled every few seconds.
WINDOW_S: Final = 300
#: The gate counts in buckets of this many seconds and keeps them for 15 minutes (report.lua).
BUCKET_S: Final = 10

BreakerState = Literal["CLOSED", "OPEN", "HALF_OPEN"]
_STATES: Final[Mapping[str, BreakerState]] = {"open": "OPEN", "half": "HALF_OPEN"}
_SCOPE: Final = re.compile(r"(\d+(?:/[a-z]+)?):st")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK: Final = Path(__file__).with_name("look.lua").read_text(encoding="utf-8")


@dataclass(slots=True)
class Traffic:
    """The requests of `covered_s` seconds: how many, how each ended, how long they took.

    `steps` counts latencies by their step: those of step n took from LATENCY_STEP ** n ms up to the next step.
    """

    covered_s: float = float(WINDOW_S)
    requests: int = 0
    ok: int = 0
    failed: int = 0
    bad: int = 0
    throttled: int = 0
    refused: int = 0
    size_bytes: int = 0
    total_ms: int = 0
    steps: dict[int, int] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """Return how many got no answer, or none that can be used: throttling and refusals are the provider's right."""
        return self.failed + self.bad

    @property
    def rejected(self) -> int:
        """Return how many the provider answered with a no."""
        return self.throttled + self.refused

    @property
    def mean_ms(self) -> float | None:
        """Return the mean latency."""
        return self.total_ms / self.requests if self.requests else None

    @property
    def per_s(self) -> float:
        """Return the requests a second."""
        return self.requests / self.covered_s

    def share(self, count: int) -> float:
        """Return a count as a share of the requests, 0 where there are none."""
        return count / self.requests if self.requests else 0.0

    def percentile_ms(self, percent: float) -> float | None:
        """Return the latency that so many percent of the requests did not exceed: to 7 %, the middle of its step."""
        if not self.requests:
            return None
        left = math.ceil(sum(self.steps.values()) * percent / 100)
        for step in sorted(self.steps):
            left -= self.steps[step]
            if left <= 0:
                return float(LATENCY_STEP ** (step + 0.5))
        return None

    def add(self, counts: Mapping[str, int]) -> None:
        """Add what the gate counted: a bucket of its, or what a report adds to one."""
        for name, number in counts.items():
            match name:
                case "n":
                    self.requests += number
                case "ms":
                    self.total_ms += number
                case "bytes":
                    self.size_bytes += number
                case "ok" | "failed" | "bad" | "throttled" | "refused":
                    setattr(self, name, getattr(self, name) + number)
                case step if re.fullmatch(r"l\d+", step):
                    self.steps[int(step[1:])] = self.steps.get(int(step[1:]), 0) + number
                case _:  # another version of the farm counts something else: both run while it is replaced
                    pass


def together(all_traffic: Iterable[Traffic]) -> Traffic:
    """Return the traffic of all of them, which covers the same time."""
    total = Traffic()
    for one in all_traffic:
        total.covered_s = one.covered_s
        counts = {"n": one.requests, "ms": one.total_ms, "bytes": one.size_bytes}
        counts |= {name: getattr(one, name) for name in ("ok", "failed", "bad", "throttled", "refused")}
        total.add(counts | {f"l{step}": count for step, count in one.steps.items()})
    return total


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker that is not closed. `base` is its address's place, `dataset` is '' where all of it is meant."""

    base: int
    dataset: str
    state: BreakerState
    until: datetime | None

    @property
    def scope(self) -> str:
        """Return its name in events."""
        return f"{self.base}/{self.dataset}" if self.dataset else str(self.base)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a provider now: its traffic, failures in a row up to now, breakers that are not closed."""

    traffic: Traffic
    failing: int = 0
    breakers: tuple[Breaker, ...] = ()
    held_by_hand: bool = False
    percent: int = 100

    def is_shut(self, bases: int) -> bool:
        """Say whether no address of `bases` may be asked, but for a probe."""
        shut = {breaker.base for breaker in self.breakers if not breaker.dataset}
        return shut >= set(range(bases))


def look(redis: Redis, providers: Sequence[str], *, window_s: int = WINDOW_S) -> dict[str, Seen]:
    """Return what is known of each provider. One round trip."""
    keys = [key for provider in providers for key in (gate_key(provider), traffic_key(provider))]
    (seconds, micros), *answers = redis.register_script(_LOOK)(keys, [window_s // BUCKET_S, BUCKET_S])
    now = float(seconds) + float(micros) / 1_000_000
    first = (int(seconds) // BUCKET_S - window_s // BUCKET_S + 1) * BUCKET_S
    found = {}
    for provider, (kept, sums) in zip(providers, answers, strict=True):
        gate = {name.decode(): value.decode() for name, value in _pairs(kept)}
        traffic = Traffic(covered_s=now - first)
        traffic.add({name.decode(): count for name, count in _pairs(sums)})
        found[provider] = Seen(
            traffic,
            int(gate.get("failing", "0")),
            _breakers(gate),
            held_by_hand=_lasts(gate.get("hand", "0"), now),
            percent=int(gate["limit"]) if _lasts(gate.get("limit_until", "0"), now) else 100,
        )
    return found


def _pairs(flat: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _lasts(until_ms: str, now: float) -> bool:
    """Say whether something by hand lasts: -1 is until a person ends it."""
    return float(until_ms) < 0 or float(until_ms) > now * 1000


def totals(redis: Redis, providers: Sequence[str]) -> dict[str, Traffic]:
    """Return all requests of each provider that were ever counted. One round trip."""
    with redis.pipeline(transaction=False) as pipe:
        for provider in providers:
            pipe.hgetall(f"{traffic_key(provider)}total")
        answers = cast(list[dict[bytes, bytes]], pipe.execute())
    found = {provider: Traffic() for provider in providers}
    for provider, counts in zip(providers, answers, strict=True):
        found[provider].add({name.decode(): int(value) for name, value in counts.items()})
    return found


def busiest_per_s(redis: Redis, providers: Sequence[str], *, window_s: int = WINDOW_S) -> float:
    """Return the requests a second of the busiest bucket, over all these providers. Two round trips."""
    bucket = int(server_time(redis)) // BUCKET_S
    buckets = range(bucket - window_s // BUCKET_S + 1, bucket + 1)
    with redis.pipeline(transaction=False) as pipe:
        for at in buckets:
            for provider in providers:
                pipe.hget(f"{traffic_key(provider)}{at}", "n")
        counts = [int(count or 0) for count in pipe.execute()]
    sums = (sum(counts[first : first + len(providers)]) for first in range(0, len(counts), len(providers)))
    return max(sums, default=0) / BUCKET_S


@dataclass(frozen=True, slots=True)
class InUse:
    """How much of a window is in use, and how many batches that count in it are out now."""

    used: int
    out: int


def in_use(redis: Redis, windows: Sequence[Window]) -> list[InUse]:
    """Return what is in use of each window, as the gate would find it. Two round trips."""
    if not windows:
        return []
    now_ms = int(server_time(redis) * 1000)
    with redis.pipeline(transaction=False) as pipe:
        for window in windows:
            pipe.hgetall(window.key)
            pipe.zrange(f"{window.key}:out", 0, -1, withscores=True)
        answers = pipe.execute()
    return [
        _in_use(window, ended, out, now_ms)
        for window, ended, out in zip(windows, answers[::2], answers[1::2], strict=True)
    ]


def server_time(redis: Redis) -> float:
    """Return the clock that the gate goes by, in seconds."""
    seconds, micros = redis.time()
    return float(seconds) + float(micros) / 1_000_000


def _in_use(window: Window, ended: Mapping[bytes, bytes], out: Sequence[tuple[bytes, float]], now_ms: int) -> InUse:
    """Return what budget.lua's `refresh` would leave: it frees shares only when somebody asks."""
    width = max(1, window.per_ms // 100)

    def is_free(bin_: int) -> bool:
        return bin_ * width + window.per_ms <= now_ms

    used = int(ended.get(b"u", b"0"))
    used -= sum(int(share) for name, share in ended.items() if name.isdigit() and is_free(int(name)))
    late = [(member, score) for member, score in out if score <= now_ms]
    for member, score in late:  # their batch never reported: they count as ended at their deadline
        if is_free(int(score) // width + 1):
            used -= int(member.split(b"|")[1])
    return InUse(used, len(out) - len(late))


def _breakers(gate: Mapping[str, Any]) -> tuple[Breaker, ...]:
    found = []
    for name, value in gate.items():
        match = _SCOPE.fullmatch(name)
        if match is None or value not in _STATES:
            continue
        base, _, dataset = match[1].partition("/")
        until_ms = float(gate.get(f"{match[1]}:until", "0"))
        until = _EPOCH + timedelta(milliseconds=until_ms) if value == "open" and until_ms else None
        found.append(Breaker(int(base), dataset, _STATES[value], until))
    return tuple(sorted(found, key=lambda one: (one.base, one.dataset)))
