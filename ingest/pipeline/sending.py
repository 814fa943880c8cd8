"""Sending: the requests of a batch go out at the provider's pace, and their pages are followed.

Deliberately not here: what becomes of the job (fetch). Invariant: every request that was to be sent ends up in exactly
one of three places: an answer, a trouble, or what is left for later.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.errors import BadData, SlowDown, TickfarmError, TryAgain
from ingest.payloads import StoredAnswer
from ingest.pipeline.context import Context
from ingest.pipeline.jobs import JobOptions
from ingest.pipeline.terms import Terms, entry_limit, terms_of
from ingest.providers.contract import Facts, Provider
from ingest.settings import provider_endpoint
from ingest.telemetry import register_secret
from ingest.transport.retry import (
    Decision,
    Defer,
    Policy,
    RetryLater,
    RetryNow,
    decide,
    failure_to_error,
    retry_after_s,
)
from ingest.wire import Answer, Endpoint, Failure, Limit, Request

#: A cursor is followed this far in one fetch; the rest is a successor job, so that a job's work stays bounded.
MAX_ROUNDS = 10
#: Shorter waits for pace are slept here; longer ones go back to the job table and free the worker.
MAX_SLEEP_S = 1.0
#: Jobs of a provider that is switched off come back this much later; who switches it on again loses nothing.
DISABLED_WAIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request that brought no usable answer, why, and what is to be done about it.

    `answer_index` is its place among the answers, where there was an answer at all.
    """

    request: Request
    error: TickfarmError
    decision: Decision
    answer_index: int | None


@dataclass(slots=True)
class Sent:
    """What came of the requests that were sent, and the ones that were not, with how long these must wait."""

    answers: list[StoredAnswer] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    left: list[Request] = field(default_factory=list)
    left_wait_s: float = 0.0
    requests: int = 0
    weight: int = 0
    #: what was sent twice already: its next failure is not the first
    repeated: set[Request] = field(default_factory=set)

    @property
    def good(self) -> int:
        """Return how many answers can be loaded."""
        return sum(kept.rule is None for kept in self.answers)


def send(
    context: Context, provider: Provider, requests: Sequence[Request], *, failures: int, options: JobOptions
) -> Sent:
    """Send the requests and follow their pages, as far as pace, rounds, the deadline and the provider allow.

    `failures` counts the one that may come now. Raises Redis' errors when the pacer can't be asked.
    """
    sent, facts = Sent(left=list(requests)), provider.facts
    is_enabled = context.settings.of_provider(facts.name).enabled
    sent.left_wait_s = context.client.ready_in_s() if is_enabled else DISABLED_WAIT_S
    if sent.left_wait_s > 0:
        return sent
    endpoint = endpoint_of(context, facts)
    terms = terms_of(context.settings, facts, has_key=endpoint.key is not None, options=options)
    deadline = time.monotonic() + terms.timeout_s
    for _ in range(MAX_ROUNDS):
        todo = _at_once((*terms.limits, *entry_limit(options)), sent.left)
        wait_s = _pace(context, facts.name, terms, todo, options)
        if wait_s > MAX_SLEEP_S or time.monotonic() + wait_s >= deadline:
            sent.left_wait_s = wait_s
            break
        time.sleep(wait_s)
        sent.left = sent.left[len(todo) :]
        sent.requests += len(todo)
        sent.weight += sum(request.weight for request in todo)
        outcomes = context.client.send(
            todo,
            endpoint,
            deadline_s=max(deadline - time.monotonic(), 0.1),
            max_bytes=context.settings.tickfarm_max_answer_bytes,
            request_timeout_s=terms.request_timeout_s,
            connections=terms.connections,
        )
        for outcome in outcomes:
            count = failures + (outcome.request in sent.repeated)
            _sort(provider, outcome, sent, failures=count, policy=terms.policy)
        sent.left_wait_s = _told_to_wait_s(sent.troubles)
        if not sent.left or sent.left_wait_s:
            break
    return sent


def _told_to_wait_s(troubles: Sequence[Trouble]) -> float:
    """Return how long the provider wants no more requests, 0.0 if it has not said so: a ban begins with going on."""
    slow = [one.decision for one in troubles if isinstance(one.error, SlowDown)]
    return max((one.delay_s for one in slow if isinstance(one, Defer | RetryLater)), default=0.0)


def endpoint_of(context: Context, facts: Facts) -> Endpoint:
    """Return where the provider's requests go now, with its key if one is set, which no log line shows."""
    spec = facts.key
    endpoint = provider_endpoint(
        context.settings,
        name=facts.name,
        base_url=facts.base_url,
        key_env=spec.env if spec else None,
        place=spec.place if spec else "header",
        key_name=spec.name if spec else "",
    )
    if endpoint.key is not None:
        register_secret(endpoint.key.value)
    return endpoint


def _at_once(limits: Sequence[Limit], requests: Sequence[Request]) -> list[Request]:
    """Return the first requests that fit into every limit; at least one."""
    room = {limit: limit.amount for limit in limits}
    for count, request in enumerate(requests):
        for limit in limits:
            room[limit] -= request.weight if limit.unit == "weight" else 1
        if count and min(room.values(), default=0) < 0:
            return list(requests[:count])
    return list(requests)


def _pace(context: Context, provider: str, terms: Terms, todo: Sequence[Request], options: JobOptions) -> float:
    """Return how long the batch waits for its turn: its entry's first, so that a wait there costs others nothing."""
    entry = entry_limit(options)
    wait_s = context.pacer.take(f"entry:{options.entry}", entry, len(todo), 0, max_wait_s=MAX_SLEEP_S)
    if wait_s > MAX_SLEEP_S:
        return wait_s
    return max(wait_s, reserve(context, provider, terms, todo, max_wait_s=MAX_SLEEP_S))


def reserve(context: Context, provider: str, terms: Terms, todo: Sequence[Request], *, max_wait_s: float) -> float:
    """Reserve the provider's time for these requests; return how long they must wait (nothing reserved if too long).

    The stated limits are asked as well: processes that were given different paces keep those together.
    """
    if not context.settings.tickfarm_pace and context.settings.tickfarm_sandbox_url:
        return 0.0
    weight = sum(request.weight for request in todo)
    limits = tuple(dict.fromkeys(terms.limits + terms.stated))
    return context.pacer.take(provider, limits, len(todo), weight, max_wait_s=max_wait_s)


def _sort(provider: Provider, outcome: Answer | Failure, sent: Sent, *, failures: int, policy: Policy) -> None:
    """Put one outcome where it belongs; the page after a good one, or a request to repeat at once, is left to send."""
    index = None
    if isinstance(outcome, Answer):
        error = provider.error_of(outcome)
        sent.answers.append(StoredAnswer(outcome, None if error is None else _rule(error)))
        if error is None:
            following = provider.next_page(outcome.request, outcome)
            sent.left += [] if following is None else [following]
            return
        index = len(sent.answers) - 1
        if isinstance(error, SlowDown | TryAgain) and error.retry_after_s is None:
            error.retry_after_s = retry_after_s(outcome.headers, outcome.received_at)  # given as a date
        decision = decide(error, failures, random.Random(), policy)
    else:
        error = failure_to_error(outcome, provider.facts.name)
        cause = error if outcome.kind == "too_large" else outcome.kind
        decision = decide(cause, failures, random.Random(), policy)
    if isinstance(decision, RetryNow):
        sent.repeated.add(outcome.request)
        sent.left.append(outcome.request)
    else:
        sent.troubles.append(Trouble(outcome.request, error, decision, index))


def _rule(error: TickfarmError) -> str:
    return error.rule if isinstance(error, BadData) else "provider_error"
