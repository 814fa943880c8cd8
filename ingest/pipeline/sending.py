"""Sending: the requests of a batch go out as the gate allows, and their pages are followed.

Deliberately not here: one exchange with the provider (exchange), what becomes of the job (fetch). Invariant: every
request that was to be sent ends up in exactly one of three places: an answer, a trouble, or what is left for later.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ingest.errors import BadData, TickfarmError
from ingest.payloads import StoredAnswer
from ingest.pipeline.context import Context
from ingest.pipeline.exchange import Exchanged, Line, Outcome, Sender, endpoint_of, exchange
from ingest.pipeline.fetch_log import Trace
from ingest.pipeline.terms import terms_of, why_unusable
from ingest.providers.contract import Provider
from ingest.transport.breaker import Transition
from ingest.transport.gate import Ended, Hold
from ingest.transport.retry import Decision, RetryNow
from ingest.wire import Answer, Request

#: A cursor is followed this far in one fetch; the rest is a successor job, so that a job's work stays bounded.
MAX_ROUNDS = 10
#: Shorter waits are slept here; longer ones go back to the job table and free the worker. Over a second, so that who is
#: allowed one request a second keeps its turn.
MAX_SLEEP_S = 1.25
#: Jobs of a provider that may not be asked come back this much later; who switches it on again loses nothing.
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
    """What came of the requests that were sent, and the ones that were not, with how long these must wait and why.

    `pool` names the credential that was used; `ended` says how each request went, in the order of sending.
    """

    answers: list[StoredAnswer] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    #: of every request that was sent, in the order they ended
    traces: list[Trace] = field(default_factory=list)
    left: list[Request] = field(default_factory=list)
    left_wait_s: float = 0.0
    left_reason: str = ""
    #: and so must whatever else the lane would ask of the provider
    is_left_for_all: bool = False
    pool: str = ""
    hold: Hold | None = None
    transitions: list[Transition] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    #: what was sent twice already: its next failure is not the first
    repeated: set[Request] = field(default_factory=set)

    @property
    def requests(self) -> int:
        """Return how many requests were sent."""
        return len(self.ended)

    @property
    def weight(self) -> int:
        """Return what they weigh."""
        return sum(one.request.weight for one in self.ended)

    @property
    def good(self) -> int:
        """Return how many answers can be loaded."""
        return sum(kept.rule is None for kept in self.answers)


def send(
    context: Context, provider: Provider, requests: Sequence[Request], *, failures: int, dataset: str, sender: Sender
) -> Sent:
    """Send the requests and follow their pages, as far as the gate, rounds, the deadline and the provider allow.

    `failures` counts the one that may come now. Raises Redis' errors when the gate can't be asked.
    """
    sent, facts = Sent(left=list(requests)), provider.facts
    unusable = why_unusable(context.settings, facts)
    if unusable is not None:
        sent.left_wait_s, sent.left_reason, sent.is_left_for_all = DISABLED_WAIT_S, unusable, True
        return sent
    has_key = endpoint_of(context, facts, "", dataset=dataset).key is not None
    terms = terms_of(context.settings, facts, has_key=has_key, options=sender.options)
    deadline = time.monotonic() + terms.timeout_s
    line = Line(context, provider, dataset, terms, sender)
    rounds = 0
    while sent.left and rounds < MAX_ROUNDS:
        left_s = max(deadline - time.monotonic(), 0.1)
        done = exchange(
            line,
            sent.left,
            deadline_s=left_s,
            failures=[failures + (request in sent.repeated) for request in sent.left],
            sent_before=sent.ended,
        )
        rounds += bool(done.outcomes)
        _take(sent, done)
        if sent.hold is not None:
            sent.left_wait_s, sent.left_reason = sent.hold.for_s, sent.hold.reason
            break
        is_long = done.wait_s > MAX_SLEEP_S or time.monotonic() + done.wait_s >= deadline
        if done.wait_s and (is_long or not done.is_turn):
            sent.left_wait_s, sent.left_reason, sent.is_left_for_all = done.wait_s, done.reason, done.is_for_all
            break
        time.sleep(done.wait_s)
    return sent


def _take(sent: Sent, done: Exchanged) -> None:
    """Put what one exchange brought where it belongs."""
    sent.left = sent.left[len(done.outcomes) :]
    sent.transitions += done.transitions
    sent.pool, sent.hold = done.pool or sent.pool, done.hold or sent.hold
    for one in done.outcomes:
        _sort(sent, one, done.base_url)
    sent.ended += done.ended


def _sort(sent: Sent, one: Outcome, base_url: str) -> None:
    """Put one outcome where it belongs; the page after a good one, or a request to repeat at once, is left to send."""
    index, answer = None, one.outcome
    if isinstance(answer, Answer):
        rule = None if one.error is None else _rule(one.error)
        sent.answers.append(StoredAnswer(answer, rule, is_last=one.following is None))
        index = len(sent.answers) - 1
    sent.traces.append(Trace(answer, base_url, one.error, index))
    if one.error is None or one.decision is None:
        sent.left += [] if one.following is None else [replace(one.following, follows=True)]
        return
    if isinstance(one.decision, RetryNow):
        sent.repeated.add(answer.request)
        sent.left.append(answer.request)
    else:
        sent.troubles.append(Trouble(answer.request, one.error, one.decision, index))


def _rule(error: TickfarmError) -> str:
    return error.rule if isinstance(error, BadData) else "provider_error"
