"""One exchange with a provider: ask the gate, count the quota, send what may go, report how it went.

Deliberately not here: following pages and what becomes of a job (sending, fetch). Invariant: nothing is sent that the
gate and the quota have not granted, and everything granted is reported: as ended, or as never sent.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import structlog
from redis.exceptions import RedisError

from ingest import providers
from ingest.errors import KeyRefused, SlowDown, TickfarmError, TryAgain
from ingest.pipeline import provider_state, quota
from ingest.pipeline.context import Context
from ingest.pipeline.credentials import keys_of
from ingest.pipeline.jobs import JobOptions
from ingest.pipeline.terms import NO_OPTIONS, Terms, entry_limit, terms_of
from ingest.providers.contract import Facts, Provider
from ingest.settings import provider_endpoint
from ingest.telemetry import register_secret
from ingest.transport.breaker import Transition, verdict_of
from ingest.transport.budget import Window, windows_of
from ingest.transport.gate import LIVE_RESERVE, Admission, Ask, Ended, Hold
from ingest.transport.retry import Decision, Defer, RetryLater, RetryNow, decide, failure_to_error, retry_after_s
from ingest.wire import Answer, Endpoint, Failure, Limit, Request

#: More than this is asked for in another round: the gate's document stays small.
MOST_AT_ONCE = 1_000
#: A hold that only a person lifts: jobs come back this often to see.
HELD_WAIT_S = 600.0
#: A refused credential is tried again after this: somebody is told by then (`tickfarm keys`), and a ban is far off.
REFUSED_WAIT_S = 600.0

_grants = itertools.count()

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: a job's `<id>:<attempt>` and lane, with what its schedule entry says."""

    job: str
    lane: str
    options: JobOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request went. `decision` is None where there is no error; `following` is the page after a good one."""

    outcome: Answer | Failure
    error: TickfarmError | None
    decision: Decision | None
    following: Request | None = None


@dataclass(slots=True)
class Exchanged:
    """What one exchange brought: outcomes of the first requests, or none and a wait with its reason.

    `is_turn`: it is only a matter of whose turn it is, so that a short wait is worth waiting in place. `is_for_all`:
    whatever else the lane would ask of the provider has to wait as long.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    wait_s: float = 0.0
    reason: str = ""
    is_turn: bool = False
    is_for_all: bool = False
    base_url: str = ""
    pool: str = ""
    hold: Hold | None = None
    transitions: tuple[Transition, ...] = ()
    ended: list[Ended] = field(default_factory=list)


def endpoint_of(context: Context, facts: Facts, base_url: str, *, dataset: str = "", turn: str = "") -> Endpoint:
    """Return where the provider's requests for a dataset go now, with its key if one is set, which no log line shows.

    `turn` chooses among several keys. A key that is for some datasets only is sent with no other.
    """
    spec = facts.key if facts.key is None or not facts.key.datasets or dataset in facts.key.datasets else None
    endpoint = provider_endpoint(context.settings, name=facts.name, base_url=base_url, spec=spec, turn=turn)
    for part in () if endpoint.key is None else endpoint.key.parts:
        register_secret(part.value)
    return endpoint


def limits_now(context: Context, name: str) -> Sequence[Limit]:
    """Return the provider's limits at our pace, as they hold with the keys that are set now."""
    facts = providers.get(name).facts
    has_key = endpoint_of(context, facts, "").key is not None
    return terms_of(context.settings, facts, has_key=has_key).limits


@dataclass(frozen=True, slots=True)
class Line:
    """Who asks whom for what, and on which terms."""

    context: Context
    provider: Provider
    dataset: str
    terms: Terms
    sender: Sender

    @property
    def name(self) -> str:
        """Return the provider's name."""
        return self.provider.facts.name

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Return the limits to keep to: the farm's own, and the stated ones.

        The stated ones too, so that processes that were given different paces keep those together.
        """
        config = self.context.settings
        is_paced = config.tickfarm_pace or not config.tickfarm_sandbox_url
        return (*self.terms.limits, *self.terms.stated) if is_paced else ()


def exchange(
    line: Line,
    requests: Sequence[Request],
    *,
    deadline_s: float,
    failures: Sequence[int],
    sent_before: Sequence[Ended] = (),
) -> Exchanged:
    """Send as many of the first requests as may go now. Two round trips to Redis, whatever the batch.

    One more to PostgreSQL where a provider has limits of days. `failures` counts for each request the failure that may
    come now. Raises Redis' errors: then nothing was sent.
    """
    context = line.context
    endpoint = endpoint_of(
        context, line.provider.facts, line.terms.bases[0], dataset=line.dataset, turn=line.sender.job
    )
    wait_s = context.client.ready_in_s()
    if wait_s > 0:
        return Exchanged(wait_s=wait_s, reason="all connections of the farm are in use")
    ask = _ask(line, requests[:MOST_AT_ONCE], endpoint.pool, deadline_s)
    admission = context.gate.admit(ask, since_begin=sent_before)
    provider_state.announce(context.redis, line.name, admission.transitions)
    done = Exchanged(pool=endpoint.pool, transitions=admission.transitions)
    if not admission.granted:
        done.wait_s, done.reason = _wait(line.name, admission)
        done.is_turn = admission.reason == "budget"
        done.is_for_all = admission.reason != "breaker" and _is_all_alike(line, ask.windows if done.is_turn else ())
        return done
    done.base_url = line.terms.bases[admission.base]
    outcomes = _send(line, requests[: admission.granted], replace(endpoint, base_url=done.base_url), deadline_s, done)
    dice, now = random.Random(), datetime.now(UTC)
    done.outcomes = [
        _judge(line, outcome, count, dice) for outcome, count in zip(outcomes, failures[: len(outcomes)], strict=True)
    ]
    done.ended = [_ended(one, now) for one in done.outcomes]
    done.hold = _hold_of(done.outcomes)
    _report(line, admission, done, sent_before)
    _spare(done, admission)
    return done


def _is_all_alike(line: Line, windows: Sequence[Window]) -> bool:
    """Say whether other jobs would be told the same: one credential, and no window of one dataset or entry alone."""
    is_one_key = len(keys_of(line.context.settings, line.provider.facts)) < 2
    return is_one_key and line.sender.options.per_minute is None and not any(one.datasets for one in windows)


def _ask(line: Line, requests: Sequence[Request], pool: str, deadline_s: float) -> Ask:
    budget, sender = f"{line.name}:{pool}", line.sender
    own = windows_of(budget, line.limits, at_once=line.provider.facts.at_once)
    entry = windows_of(f"entry:{sender.options.entry}", entry_limit(sender.options))
    return Ask(
        provider=line.name,
        budget=budget,
        dataset=line.dataset,
        grant=f"{sender.job}:{os.getpid()}:{next(_grants)}:{time.time_ns()}",
        job=sender.job,
        requests=requests,
        windows=[window for window in (*own, *entry) if window.counts(line.dataset)],
        deadline_s=deadline_s,
        bases=len(line.terms.bases),
        is_live=sender.lane == "live",
        reserve=LIVE_RESERVE if sender.lane == "backfill" else 0.0,
        budget_windows=own,
    )


def _send(
    line: Line, requests: Sequence[Request], endpoint: Endpoint, deadline_s: float, done: Exchanged
) -> list[Answer | Failure]:
    """Count the long windows and send what fits into them; where that is nothing, say in `done` until when."""
    context, terms, now = line.context, line.terms, datetime.now(UTC)
    limits = quota.long_limits(line.limits)
    todo = list(requests)
    if limits:
        with context.sessions.begin() as session:
            reserved = quota.reserve(session, line.name, endpoint.pool, limits, requests, now)
        todo = todo[: reserved.count]
        if not todo:
            done.wait_s, done.reason = _quota_wait(line.name, reserved, now)
            done.is_for_all = _is_all_alike(line, ()) and not (reserved.limit and reserved.limit.datasets)
            return []
    try:
        return context.client.send(
            todo,
            endpoint,
            deadline_s=deadline_s,
            max_bytes=context.settings.tickfarm_max_answer_bytes,
            request_timeout_s=terms.request_timeout_s,
            connections=terms.connections,
        )
    except SlowDown as full:  # the farm's connections: nothing was sent
        done.wait_s, done.reason = full.retry_after_s or 1.0, str(full)
        if limits:
            with context.sessions.begin() as session:
                quota.give_back(session, line.name, endpoint.pool, limits, todo, now)
        return []


def _report(line: Line, admission: Admission, done: Exchanged, sent_before: Sequence[Ended]) -> None:
    context, ask = line.context, admission.ask
    try:
        changed = context.gate.report(
            admission,
            done.ended,
            policy=line.terms.breaker,
            hold=done.hold,
            used=_told(line.provider.facts, ask.windows, done.outcomes),
            since_begin=sent_before,
        )
        provider_state.announce(context.redis, line.name, changed)
        done.transitions += changed
    except RedisError as error:  # what was sent is sent: its grant is over at its deadline
        log.warning("report_lost", provider=line.name, requests=len(done.ended), error=str(error))


def _wait(provider: str, admission: Admission) -> tuple[float, str]:
    """Return how long to wait and why, in words for people."""
    wait_s = HELD_WAIT_S if math.isinf(admission.wait_s) else admission.wait_s
    until = f"{datetime.now(UTC) + timedelta(seconds=wait_s):%H:%M:%S} UTC"
    match admission.reason:
        case "budget":
            return wait_s, f"the limits of {provider} allow no more until {until}"
        case "breaker":
            return wait_s, f"{provider} is ill and left alone: it is tried again at {until}"
        case why:
            ends = "somebody lifts it" if math.isinf(admission.wait_s) else until
            return wait_s, f"{provider} is held until {ends}: {why}"


def _quota_wait(provider: str, reserved: quota.Reserved, now: datetime) -> tuple[float, str]:
    until, limit = reserved.until or now, reserved.limit
    said = f"the quota of {provider}" + (f" ({limit.amount} {limit.unit} in {limit.per_s} s)" if limit else "")
    return max((until - now).total_seconds(), 1.0), f"{said} is used until {until:%Y-%m-%d %H:%M:%S} UTC"


def _judge(line: Line, outcome: Answer | Failure, failures: int, dice: random.Random) -> Outcome:
    """Return what is wrong with an outcome, if anything, and what is to be done about it."""
    provider, terms = line.provider, line.terms
    if isinstance(outcome, Failure):
        error = failure_to_error(outcome, provider.facts.name)
        cause = error if outcome.kind == "too_large" else outcome.kind
        return Outcome(outcome, error, decide(cause, failures, dice, terms.policy))
    found = provider.error_of(outcome)
    if found is None:
        return Outcome(outcome, None, None, provider.next_page(outcome.request, outcome))
    if isinstance(found, SlowDown | TryAgain) and found.retry_after_s is None:
        found.retry_after_s = retry_after_s(outcome.headers, outcome.received_at)  # given as a date
    return Outcome(outcome, found, decide(found, failures, dice, terms.policy))


def _ended(one: Outcome, now: datetime) -> Ended:
    outcome = one.outcome
    age_ms = max(0, int((now - outcome.received_at).total_seconds() * 1000))
    latency_ms = max(0, int((outcome.received_at - outcome.sent_at).total_seconds() * 1000))
    size = len(outcome.body) if isinstance(outcome, Answer) else 0
    return Ended(outcome.request, verdict_of(outcome, one.error), age_ms, latency_ms, size)


def _hold_of(outcomes: Sequence[Outcome]) -> Hold | None:
    """Return how long the provider wants no more requests at all, if it has said so: a ban begins with going on.

    A credential that it does not take rests for ten minutes: a new one has a name of its own and waits for nothing, and
    a provider that said so by mistake is asked again.
    """
    refused = next((one.error for one in outcomes if isinstance(one.error, KeyRefused)), None)
    if refused is not None:
        return Hold(REFUSED_WAIT_S, str(refused))
    slow = [one for one in outcomes if isinstance(one.error, SlowDown) or (one.error and one.error.retry_after_s)]
    waits = [one.decision.delay_s for one in slow if isinstance(one.decision, Defer | RetryLater)]
    return Hold(max(waits), f"{slow[0].error}") if waits else None


def _told(facts: Facts, windows: Sequence[Window], outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return what the provider's headers say is used of which window: the highest figure of the batch."""
    said: dict[str, int] = {}
    for header in facts.usage_headers:
        window = next((one for one in windows if one.per_ms == header.per_s * 1000 and one.unit == header.unit), None)
        answers = [one.outcome for one in outcomes if isinstance(one.outcome, Answer)]
        texts = [answer.headers.get(header.name, "") for answer in answers]
        figures = [int(text) for text in texts if text.isascii() and text.isdigit()]
        if window is not None and figures:
            said[window.key] = max(figures) if header.says == "used" else window.amount - min(figures)
    return said


def _spare(done: Exchanged, admission: Admission) -> None:
    """Let requests that met an outage be asked again, now that the breaker is open: of a mirror, or in its time.

    The outage is the provider's failure and not the job's, so it costs the job none of its retries.
    """
    base = str(admission.base)
    if not any(one.after == "open" and one.scope.split("/")[0] == base for one in done.transitions):
        return
    for at, one in enumerate(done.outcomes):
        if done.ended[at].verdict == "failed":
            done.outcomes[at] = Outcome(one.outcome, one.error, RetryNow())
