"""Instruments: what a provider lists, asked of it, so that a misspelt name is caught before it is owed.

Deliberately not here: the grammar of names (market/symbols). A provider without a catalogue can't be checked this way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from ingest.errors import TryAgain
from ingest.market.symbols import validate
from ingest.pipeline import jobs, provider_state
from ingest.pipeline.context import Context
from ingest.pipeline.exchange import Exchanged, Line, Sender, endpoint_of, exchange
from ingest.pipeline.fetch_log import Asker, Ending, Trace, log_rows
from ingest.pipeline.terms import refuse_unusable, terms_of
from ingest.providers.contract import Provider
from ingest.telemetry import redact_error
from ingest.wire import Answer, Request
from models.fetch_log import CATALOGUE

#: A person waits for this at a prompt.
PATIENCE_S = 10.0


def listed_instruments(context: Context, provider: Provider) -> list[str] | None:
    """Return the instruments the provider lists now, sorted; None where it has no catalogue. Cost: one request.

    Raises TryAgain (or the error the provider sent) when it can't be asked.
    """
    request = provider.catalogue()
    return None if request is None else sorted(provider.listed(ask(context, provider, request)))


def ask(context: Context, provider: Provider, request: Request) -> Answer:
    """Return the provider's good answer to one request that somebody waits for, sent as any other: paced, with its key.

    Raises FixRequest for a provider that is switched off, TryAgain when it can't be asked now, or the error it sent.
    """
    facts = provider.facts
    refuse_unusable(context.settings, facts)
    terms = terms_of(context.settings, facts, has_key=endpoint_of(context, facts, "").key is not None)
    began = time.monotonic()
    done = exchange(
        Line(context, provider, CATALOGUE, terms, Sender("", "live")),
        [request],
        deadline_s=min(PATIENCE_S, terms.timeout_s),
        failures=[1],
    )
    if not done.outcomes:
        raise TryAgain(f"{facts.name} can't be asked now: {done.reason}", provider=facts.name)
    [one] = done.outcomes
    _note(context, facts.name, done, duration_s=time.monotonic() - began)
    if one.error is not None:
        raise one.error
    if not isinstance(one.outcome, Answer):
        raise TryAgain(f"{facts.name} did not answer", provider=facts.name)
    return one.outcome


def _note(context: Context, provider: str, done: Exchanged, *, duration_s: float) -> None:
    """Note the request in the fetch log: no job asked for it, and its answer is not kept."""
    now, outcome, reason = datetime.now(UTC), "done", None
    [one] = done.outcomes
    if one.error is not None:
        redact_error(one.error)
        outcome, reason = "failed", str(one.error)
    ending = Ending(now, int(duration_s * 1000), outcome, reason)
    context.make_room("fetch_log", now, now)
    with context.sessions.begin() as session:
        jobs.relax_commit(session)
        asker = Asker(provider, CATALOGUE, pool=done.pool)
        session.add_all(log_rows(asker, [Trace(one.outcome, done.base_url, one.error)], ending))
        provider_state.record(session, provider, done.transitions)


def check_listed(context: Context, provider: Provider, names: Sequence[str]) -> None:
    """Raise UnknownName, with near matches, for the first name that the provider does not list."""
    listed = listed_instruments(context, provider)
    if listed is not None:
        for name in names:
            validate(name, listed)
