"""Instruments: what a provider lists, asked of it, so that a misspelt name is caught before it is owed.

Deliberately not here: the grammar of names (market/symbols). A provider without a catalogue can't be checked this way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ingest.errors import TryAgain
from ingest.market.symbols import validate
from ingest.pipeline.context import Context
from ingest.pipeline.sending import endpoint_of, reserve
from ingest.pipeline.terms import refuse_disabled, terms_of
from ingest.providers.contract import Provider
from ingest.transport.retry import failure_to_error
from ingest.wire import Answer, Request

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
    refuse_disabled(context.settings, facts.name)
    endpoint = endpoint_of(context, facts)
    terms = terms_of(context.settings, facts, has_key=endpoint.key is not None)
    wait_s = reserve(context, facts.name, terms, [request], max_wait_s=0.0)
    if wait_s > 0:
        raise TryAgain(f"{facts.name} can't be asked now: its turn comes in {math.ceil(wait_s)} s", provider=facts.name)
    [outcome] = context.client.send(
        [request],
        endpoint,
        deadline_s=min(PATIENCE_S, terms.timeout_s),
        max_bytes=context.settings.tickfarm_max_answer_bytes,
        request_timeout_s=terms.request_timeout_s,
    )
    if not isinstance(outcome, Answer):
        raise failure_to_error(outcome, facts.name)
    error = provider.error_of(outcome)
    if error is not None:
        raise error
    return outcome


def check_listed(context: Context, provider: Provider, names: Sequence[str]) -> None:
    """Raise UnknownName, with near matches, for the first name that the provider does not list."""
    listed = listed_instruments(context, provider)
    if listed is not None:
        for name in names:
            validate(name, listed)
