"""The gate to a provider: a batch asks before it is sent, and reports how it went.

Each of the two is one round trip to Redis, whatever the batch: windows of the budget, breakers of every base address,
holds and the counters of health are in the same script. Deliberately not here: sending (client), what a wait means for
the job (pipeline/sending.py), windows of days and months (pipeline/quota.py).

Invariant: while Redis is away nothing is granted (its errors are raised); when it has forgotten, nothing is granted
until the windows are seeded from what PostgreSQL knows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, Literal, cast

from redis import Redis
from redis.exceptions import NoScriptError

from ingest.transport.breaker import BreakerPolicy, Transition, Verdict
from ingest.transport.budget import Window, costs, ends
from ingest.wire import Request

WaitReason = Literal["budget", "breaker", "held"]
#: How much of every window stays free for live work.
LIVE_RESERVE: Final = 0.2
#: A grant counts as ended this long after its batch's deadline if nobody reports it: the client is back by then.
SLACK_MS: Final = 2_000
#: Latencies are counted in steps of 15 %, so that a percentile is right to 7 %.
LATENCY_STEP: Final = 1.15

_DAY_S: Final = 86_400
_FOLDER = Path(__file__).parent


def gate_key(provider: str) -> str:
    """Return the Redis key of a provider's breakers: a hash, gone a day after the last request."""
    return f"tickfarm:gate:{provider}"


def pool_key(budget: str) -> str:
    """Return the Redis key of a credential's state: a hash, gone two hours after the last request."""
    return f"tickfarm:pool:{budget}"


def traffic_key(provider: str) -> str:
    """Return what the keys of a provider's traffic begin with: a hash for each 10 s, gone after 15 minutes, and
    `total`, gone 30 days after the last request.
    """
    return f"tickfarm:traffic:{provider}:"


@dataclass(frozen=True, slots=True)
class Ask:
    """A batch that wants to go. `grant` is unique, `job` names who asks in `<job>:<attempt>` form ('' for nobody).

    `budget` names whose windows count (`provider:pool`), `bases` is how many base addresses there are. `reserve` is the
    share of each window that must stay free; `is_live` asks ahead of all others. `budget_windows` are all windows of
    the budget, whatever dataset counts in them: these are seeded.
    """

    provider: str
    budget: str
    dataset: str
    grant: str
    job: str
    requests: Sequence[Request]
    windows: Sequence[Window]
    deadline_s: float
    bases: int = 1
    is_live: bool = False
    reserve: float = 0.0
    budget_windows: Sequence[Window] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """What the gate said: so many of the first requests may go now to that base address, or none before `wait_s`.

    `wait_s` is infinite when only a person can lift what holds the provider.
    """

    ask: Ask
    granted: int = 0
    base: int = 0
    is_probe: bool = False
    wait_s: float = 0.0
    reason: str = ""
    generations: tuple[int, ...] = ()
    transitions: tuple[Transition, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How one request went: how long ago it ended, and what it took."""

    request: Request
    verdict: Verdict
    age_ms: int
    latency_ms: int
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """A time in which nothing is to be asked (on a credential, or by hand of the provider at all), and why."""

    for_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class TemporaryLimit:
    """A time in which a provider is kept by hand to so many percent of each of its windows in Redis."""

    for_s: float
    percent: int


#: A batch in the log: age in s, dataset, requests, weight.
Sent = tuple[float, str, int, int]


@dataclass(frozen=True, slots=True)
class Seed:
    """What PostgreSQL knows of a credential: requests that ended, and the jobs that may have sent some.

    `out` holds (`<job>:<attempt>`, seconds until it is over at the latest). `hold` is the credential's, `by_hand` and
    `limit` are the provider's.
    """

    ended: Sequence[Sent] = ()
    out: Sequence[tuple[str, float]] = ()
    hold: Hold | None = None
    by_hand: Hold | None = None
    limit: TemporaryLimit | None = None


#: What those of the jobs (`<job>:<attempt>`) have sent that have committed it, by job.
SentBy = Callable[["Ask", Sequence[str]], Mapping[str, Sequence[Sent]]]


@dataclass(slots=True)
class _Script:
    """A script of which each provider has its own copy: one that the server does not know tells that it restarted."""

    text: str
    shas: dict[str, tuple[str, str]] = field(default_factory=dict)

    def of(self, provider: str) -> tuple[str, str]:
        if provider not in self.shas:
            text = f"{self.text}\n-- {provider}\n"
            self.shas[provider] = (sha1(text.encode(), usedforsecurity=False).hexdigest(), text)
        return self.shas[provider]


class Gate:
    """Admits batches and takes their reports. Safe from any number of processes.

    `seed_of(ask)` is called when Redis does not know the credential's windows; it returns what PostgreSQL knows.
    `sent_by(ask, jobs)` is called while jobs that it named as out hold them: it returns what those have sent that have
    committed it since, which report no more.
    """

    def __init__(self, redis: Redis, seed_of: Callable[[Ask], Seed], sent_by: SentBy = lambda _ask, _jobs: {}) -> None:
        self._redis = redis
        self._seed_of = seed_of
        self._sent_by = sent_by
        self._admit = _Script(_text("budget", "breaker", "admit"))
        self._report = _Script(_text("budget", "breaker", "report"))
        self._seed = _Script(_text("budget", "seed"))
        self._switch = _Script(_text("budget", "breaker", "switch"))

    def admit(self, ask: Ask, *, since_begin: Sequence[Ended] = ()) -> Admission:
        """Ask to send. Nothing is taken unless something is granted. Raises Redis' errors: then nothing may go.

        `since_begin` is everything the same fetch sent before: told only where Redis has lost it.
        """
        document = {
            "grant": ask.grant,
            "job": ask.job,
            "count": len(ask.requests),
            "live": ask.is_live,
            "reserve": ask.reserve,
            "deadline_ms": round(ask.deadline_s * 1000) + SLACK_MS,
            "bases": ask.bases,
            "dataset": ask.dataset,
            "windows": [window.document(costs=costs(window, ask.requests)) for window in ask.windows],
        }
        keys = [gate_key(ask.provider), pool_key(ask.budget)]
        said = self._run(self._admit, ask.provider, keys, document)
        while said["state"] in {"seed", "confess"}:
            if said["state"] == "seed":
                self.seed(ask, self._seed_of(ask))
            else:
                self._confess(ask, since_begin)
            said = self._run(self._admit, ask.provider, keys, document)
        if said.get("supposed") and self._believe(ask, said["supposed"]):
            said = self._run(self._admit, ask.provider, keys, document)
        if said["state"] == "wait":
            wait_ms = said["wait_ms"]
            return Admission(ask, wait_s=math.inf if wait_ms < 0 else wait_ms / 1000, reason=said["why"])
        return Admission(
            ask,
            granted=said["granted"],
            base=said["base"],
            is_probe=said["probe"],
            generations=tuple(said["gens"]),
            transitions=_transitions(said["changes"] or ()),
        )

    def report(
        self,
        admission: Admission,
        ended: Sequence[Ended],
        *,
        policy: BreakerPolicy,
        hold: Hold | None = None,
        used: Mapping[str, int] | None = None,
        since_begin: Sequence[Ended] = (),
    ) -> tuple[Transition, ...]:
        """Say how the granted requests went; those that are not in `ended` were never sent.

        `hold` is what the provider said about waiting, `used` what it says is used of a window (by its key).
        `since_begin` is everything the same fetch sent before: told only where Redis has lost the grant meanwhile.
        """
        ask = admission.ask
        in_order = sorted(ended, key=lambda one: -one.age_ms)
        document: dict[str, Any] = {
            "grant": ask.grant,
            "job": ask.job,
            "base": admission.base,
            "dataset": ask.dataset,
            "gens": admission.generations,
            "outcomes": "".join("f" if one.verdict == "failed" else "s" for one in in_order),
            "policy": policy.document(),
            "traffic": _traffic(ended),
            "all": False,
        }
        if hold is not None:
            document |= {"hold_ms": _held_ms(hold), "why": hold.reason}
        document["windows"] = _reported(ask.windows, ended, used or {})
        keys = [gate_key(ask.provider), pool_key(ask.budget), traffic_key(ask.provider)]
        said = self._run(self._report, ask.provider, keys, document)
        changes = _transitions(said["changes"] or ())
        if said["lost"]:
            self._confess(ask, [*since_begin, *ended])
        return changes

    def _confess(self, ask: Ask, ended: Sequence[Ended]) -> None:
        """Say all that a fetch has sent, to a Redis that has lost what it knew of it."""
        self._tell_all(ask, ask.job, ask.grant, _reported(ask.budget_windows, ended, {}))

    def _believe(self, ask: Ask, jobs: Sequence[str]) -> bool:
        """Say for jobs that are over what they sent, in place of all that they might have; say whether any is."""
        over = self._sent_by(ask, sorted(set(jobs)))
        for job, sent in over.items():
            self._tell_all(
                ask, job, "", [window.document(ended=_logged(window, sent)) for window in ask.budget_windows]
            )
        return bool(over)

    def _tell_all(self, ask: Ask, job: str, grant: str, windows: Sequence[dict[str, Any]]) -> None:
        document = {
            "grant": grant,
            "job": job,
            "base": 0,
            "dataset": ask.dataset,
            "gens": (),
            "outcomes": "",
            "policy": {},
            "traffic": {},
            "all": True,
            "windows": windows,
        }
        keys = [gate_key(ask.provider), pool_key(ask.budget), traffic_key(ask.provider)]
        self._run(self._report, ask.provider, keys, document)

    def seed(self, ask: Ask, seed: Seed) -> None:
        """Fill the windows of a credential that Redis does not know. Does nothing where somebody else just has."""
        document: dict[str, Any] = {
            "windows": [window.document(ended=_logged(window, seed.ended)) for window in ask.budget_windows],
            "out": [[job, math.ceil(for_s * 1000)] for job, for_s in seed.out if job != ask.job],
        }
        if seed.hold is not None:
            document |= {"hold_ms": _held_ms(seed.hold), "why": seed.hold.reason}
        if seed.by_hand is not None:
            document |= {"hand_ms": _held_ms(seed.by_hand), "hand_why": seed.by_hand.reason}
        if seed.limit is not None:
            document |= {"limit_ms": _held_ms(seed.limit), "limit": seed.limit.percent}
        self._run(self._seed, ask.provider, [pool_key(ask.budget), gate_key(ask.provider)], document)

    def switch(
        self, provider: str, action: Literal["open", "close", "probe"], *, bases: int, for_s: float = 0.0
    ) -> tuple[Transition, ...]:
        """Open, close, or let be probed now, by hand, all breakers of a provider."""
        document = {"action": action, "bases": bases, "for_ms": math.ceil(for_s * 1000)}
        said = self._run(self._switch, provider, [gate_key(provider)], document)
        return _transitions(said["changes"] or ())

    def hold(self, provider: str, hold: Hold) -> None:
        """Hold a provider by hand from now on, whatever the credential; in place of what was said by hand before."""
        self._say(provider, {"hand": self._until_ms(hold), "hand_why": hold.reason})

    def limit(self, provider: str, limit: TemporaryLimit | None) -> None:
        """Keep a provider to a share of its windows from now on, whatever the credential; None: to no less than all."""
        if limit is None:
            self._redis.hdel(gate_key(provider), "limit", "limit_until")
        else:
            self._say(provider, {"limit": limit.percent, "limit_until": self._until_ms(limit)})

    def lift(self, provider: str, pools: Iterable[str] = ()) -> None:
        """Forget what holds a provider by hand, and what it asked for itself on these credentials."""
        self._redis.hdel(gate_key(provider), "hand", "hand_why")
        for pool in pools:
            self._redis.hdel(pool_key(f"{provider}:{pool}"), "hold", "why")

    def _say(self, provider: str, by_hand: dict[str, int | str]) -> None:
        self._redis.hset(gate_key(provider), mapping=cast(Any, by_hand))
        self._redis.expire(gate_key(provider), _DAY_S)

    def _until_ms(self, lasting: Hold | TemporaryLimit) -> int:
        left_ms = _held_ms(lasting)
        return left_ms if left_ms < 0 else math.ceil(_server_time(self._redis) * 1000) + left_ms

    def _run(self, script: _Script, provider: str, keys: Sequence[str], document: dict[str, Any]) -> Any:
        sha, text = script.of(provider)
        try:
            raw = self._redis.evalsha(sha, len(keys), *keys, json.dumps(document))
        except NoScriptError:
            # EVAL, and not SCRIPT LOAD first: nobody may be served between the two.
            raw = self._redis.eval(text, len(keys), *keys, json.dumps({**document, "fresh": True}))
        return raw if isinstance(raw, int) else json.loads(raw)


def _text(*names: str) -> str:
    return "\n".join((_FOLDER / f"{name}.lua").read_text(encoding="utf-8") for name in names)


def _held_ms(lasting: Hold | TemporaryLimit) -> int:
    return -1 if math.isinf(lasting.for_s) else math.ceil(lasting.for_s * 1000)


def _server_time(redis: Redis) -> float:
    seconds, micros = redis.time()
    return float(seconds) + float(micros) / 1_000_000


def _reported(windows: Sequence[Window], ended: Sequence[Ended], used: Mapping[str, int]) -> list[dict[str, Any]]:
    aged = [(one.age_ms, one.request) for one in ended]
    return [
        window.document(ended=ends(window, aged), **({"told": used[window.key]} if window.key in used else {}))
        for window in windows
    ]


def _logged(window: Window, sent: Sequence[Sent]) -> list[list[int]]:
    """Return [age in ms, share] of what the log says was sent within the window, those of the same bin together."""
    width_ms = max(1, window.per_ms // 100)
    shares: dict[int, int] = {}
    for age_s, dataset, requests, weight in sent:
        at = int(max(age_s, 0.0) * 1000) // width_ms
        if window.counts(dataset):
            shares[at] = shares.get(at, 0) + (weight if window.unit == "weight" else requests)
    return [[at * width_ms, share] for at, share in shares.items() if at * width_ms <= window.per_ms]


def _traffic(ended: Sequence[Ended]) -> dict[str, int]:
    """Return what is added to the counters of health: how many of each verdict, bytes, latencies by their step."""
    counts: dict[str, int] = {"n": len(ended)} if ended else {}
    for one in ended:
        step = math.floor(math.log(max(one.latency_ms, 1), LATENCY_STEP))
        for name, number in ((one.verdict, 1), ("bytes", one.size_bytes), ("ms", one.latency_ms), (f"l{step}", 1)):
            counts[name] = counts.get(name, 0) + number
    return counts


def _transitions(changes: Any) -> tuple[Transition, ...]:
    return tuple(
        Transition(scope, before, after, _moment(until_ms), why) for scope, before, after, until_ms, why in changes
    )


def _moment(until_ms: float) -> datetime | None:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=until_ms) if until_ms else None
