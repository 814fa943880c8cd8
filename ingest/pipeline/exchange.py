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
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from redis.exceptions import RedisError

from ingest.errors import SlowDown, TickfarmError, TryAgain
from ingest.pipeline import provider_state, quota
from ingest.pipeline.context import Context
from ingest.pipeline.jobs import JobOptions
from ingest.pipeline.terms import NO_OPTIONS, Terms, entry_limit
from ingest.providers.contract import Facts, Provider
from ingest.settings import provider_endpoint
from ingest.telemetry import register_secret
from ingest.transport.breaker import Transition, verdict_of
from ingest.transport.budget import Window, windows_of
from ingest.transport.gate import LIVE_RESERVE, Admission, Ask, Ended, Hold
from ingest.transport.retry import Decision, Defer, RetryLater, RetryNow, decide, failure_to_error, retry_after_s
from ingest.wire import Answer, Endpoint, Failure, Request

#: More than this is asked for in another round: the gate's document stays small.
MOST_AT_ONCE = 1_000
#: A hold that only a person lifts: jobs come back this often to see.
HELD_WAIT_S = 600.0

_grants = itertools.count()

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asker:
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
    """What one exchange brought: outcomes of the first requests, or none and a wait with its reason."""

    outcomes: list[Outcome] = field(default_factory=list)
    wait_s: float = 0.0
    reason: str = ""
    base_url: str = ""
    pool: str = ""
    hold: Hold | None = None
    transitions: tuple[Transition, ...] = ()
    ended: list[Ended] = field(default_factory=list)


def endpoint_of(context: Context, facts: Facts, base_url: str) -> Endpoint:
    """Return where the provider's requests go now, with its key if one is set, which no log line shows."""
    spec = facts.key
    endpoint = provider_endpoint(
        context.settings,
        base_url=base_url,
        key_env=spec.env if spec else None,
        place=spec.place if spec else "header",
        key_name=spec.name if spec else "",
    )
    if endpoint.key is not None:
        register_secret(endpoint.key.value)
    return endpoint


def exchange(
    context: Context,
    provider: Provider,
    requests: Sequence[Request],
    *,
    dataset: str,
    terms: Terms,
    asker: Asker,
    deadline_s: float,
    failures: Sequence[int],
    sent_before: Sequence[Ended] = (),
) -> Exchanged:
    """Send as many of the first requests as may go now. Two round trips to Redis; one more to PostgreSQL where a
    provider has limits of days.

    `failures` counts for each request the failure that may come now. Raises Redis' errors: then nothing was sent.
    """
    facts, endpoint = provider.facts, endpoint_of(context, provider.facts, terms.bases[0])
    wait_s = context.client.ready_in_s()
    if wait_s > 0:
        return Exchanged(wait_s=wait_s, reason="all connections of the farm are in use")
    ask = _ask(context, facts, requests[:MOST_AT_ONCE], endpoint.pool, dataset, terms, asker, deadline_s)
    admission = context.gate.admit(ask)
    provider_state.announce(context.redis, facts.name, admission.transitions)
    done = Exchanged(pool=endpoint.pool, transitions=admission.transitions)
    if not admission.granted:
        done.wait_s, done.reason = _wait(facts.name, admission)
        return done
    done.base_url = terms.bases[admission.base]
    counted_at = datetime.now(UTC)
    todo, quota_wait = _count_quota(context, facts, endpoint.pool, terms, requests[: admission.granted], counted_at)
    outcomes: list[Answer | Failure] = []
    try:
        if todo:
            outcomes = context.client.send(
                todo,
                endpoint_of(context, facts, done.base_url),
                deadline_s=deadline_s,
                max_bytes=context.settings.tickfarm_max_answer_bytes,
                request_timeout_s=terms.request_timeout_s,
                connections=terms.connections,
            )
    except SlowDown as full:  # the farm's connections: nothing was sent
        done.wait_s, done.reason = full.retry_after_s or 1.0, str(full)
        _give_back(context, facts, endpoint.pool, terms, todo, counted_at)
    done.outcomes = [
        _judge(provider, outcome, count, terms) for outcome, count in zip(outcomes, failures, strict=False)
    ]
    done.ended = [_ended(one) for one in done.outcomes]
    done.hold = _hold_of(facts.name, done.outcomes)
    try:
        changed = context.gate.report(
            admission,
            done.ended,
            policy=terms.breaker,
            hold=done.hold,
            used=_told(facts, ask.windows, outcomes),
            since_begin=sent_before,
        )
        provider_state.announce(context.redis, facts.name, changed)
        done.transitions += changed
    except RedisError as error:  # what was sent is sent: its grant is over at its deadline
        log.warning("report_lost", provider=facts.name, requests=len(outcomes), error=str(error))
    _spare(done, admission)
    if not done.outcomes and quota_wait is not None:
        done.wait_s, done.reason = quota_wait
    return done


def _ask(
    context: Context,
    facts: Facts,
    requests: Sequence[Request],
    pool: str,
    dataset: str,
    terms: Terms,
    asker: Asker,
    deadline_s: float,
) -> Ask:
    budget = f"{facts.name}:{pool}"
    # The stated limits are asked as well: processes that were given different paces keep those together.
    own = windows_of(budget, (*terms.limits, *terms.stated) if _is_paced(context) else (), at_once=facts.at_once)
    entry = windows_of(f"entry:{asker.options.entry}", entry_limit(asker.options))
    return Ask(
        provider=facts.name,
        budget=budget,
        dataset=dataset,
        grant=f"{asker.job}:{os.getpid()}:{next(_grants)}:{time.time_ns()}",
        job=asker.job,
        requests=requests,
        windows=[window for window in (*own, *entry) if window.counts(dataset)],
        deadline_s=deadline_s,
        bases=len(terms.bases),
        is_live=asker.lane == "live",
        reserve=LIVE_RESERVE if asker.lane == "backfill" else 0.0,
        budget_windows=own,
    )


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


def _count_quota(
    context: Context, facts: Facts, pool: str, terms: Terms, requests: Sequence[Request], now: datetime
) -> tuple[list[Request], tuple[float, str] | None]:
    """Count long windows for the requests; return those that fit, and the wait for the others."""
    limits = quota.long_limits((*terms.limits, *terms.stated)) if _is_paced(context) else ()
    if not limits:
        return list(requests), None
    with context.sessions.begin() as session:
        reserved = quota.reserve(session, facts.name, pool, limits, requests, now)
    todo = list(requests[: reserved.count])
    if reserved.until is None or reserved.limit is None:
        return todo, None
    wait_s = max((reserved.until - now).total_seconds(), 1.0)
    said = f"the quota of {facts.name} ({reserved.limit.amount} {reserved.limit.unit} in {reserved.limit.per_s} s)"
    return todo, (wait_s, f"{said} is used until {reserved.until:%Y-%m-%d %H:%M:%S} UTC")


def _give_back(
    context: Context, facts: Facts, pool: str, terms: Terms, requests: Sequence[Request], now: datetime
) -> None:
    limits = quota.long_limits((*terms.limits, *terms.stated)) if _is_paced(context) else ()
    if limits:
        with context.sessions.begin() as session:
            quota.give_back(session, facts.name, pool, limits, requests, now)


def _is_paced(context: Context) -> bool:
    return context.settings.tickfarm_pace or not context.settings.tickfarm_sandbox_url


def _judge(provider: Provider, outcome: Answer | Failure, failures: int, terms: Terms) -> Outcome:
    """Return what is wrong with an outcome, if anything, and what is to be done about it."""
    dice = random.Random()
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


def _ended(one: Outcome) -> Ended:
    outcome = one.outcome
    now = datetime.now(UTC)
    age_ms = max(0, int((now - outcome.received_at).total_seconds() * 1000))
    latency_ms = max(0, int((outcome.received_at - outcome.sent_at).total_seconds() * 1000))
    size = len(outcome.body) if isinstance(outcome, Answer) else 0
    return Ended(outcome.request, verdict_of(outcome, one.error), age_ms, latency_ms, size)


def _hold_of(provider: str, outcomes: Sequence[Outcome]) -> Hold | None:
    """Return how long the provider wants no more requests at all, if it has said so: a ban begins with going on."""
    slow = [one for one in outcomes if isinstance(one.error, SlowDown)]
    waits = [one.decision.delay_s for one in slow if isinstance(one.decision, Defer | RetryLater)]
    return Hold(max(waits), f"{slow[0].error}") if waits else None


def _told(facts: Facts, windows: Sequence[Window], outcomes: Sequence[Answer | Failure]) -> dict[str, int]:
    """Return what the provider's headers say is used of which window: the highest figure of the batch."""
    said: dict[str, int] = {}
    for header in facts.usage_headers:
        window = next((one for one in windows if one.per_ms == header.per_s * 1000 and one.unit == header.unit), None)
        texts = [one.headers.get(header.name, "") for one in outcomes if isinstance(one, Answer)]
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
