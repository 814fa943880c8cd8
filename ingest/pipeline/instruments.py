"""Instruments: what a provider lists, asked of it, so that a misspelt name is caught before it is owed.

Deliberately not here: the grammar of names (market/symbols). A provider without a catalogue can't be checked this way.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.errors import TryAgain
from ingest.market.symbols import validate
from ingest.pipeline.context import Context
from ingest.pipeline.exchange import Asker, endpoint_of, exchange
from ingest.pipeline.terms import refuse_disabled, terms_of
from ingest.providers.contract import Provider
from ingest.wire import Answer, Request

#: what the gate and the log call a request for the list of instruments
CATALOGUE = "catalogue"
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
    terms = terms_of(context.settings, facts, has_key=endpoint_of(context, facts, "").key is not None)
    done = exchange(
        context,
        provider,
        [request],
        dataset=CATALOGUE,
        terms=terms,
        asker=Asker("", "live"),
        deadline_s=min(PATIENCE_S, terms.timeout_s),
        failures=[1],
    )
    if not done.outcomes:
        raise TryAgain(f"{facts.name} can't be asked now: {done.reason}", provider=facts.name)
    [one] = done.outcomes
    if one.error is not None:
        raise one.error
    if not isinstance(one.outcome, Answer):
        raise TryAgain(f"{facts.name} did not answer", provider=facts.name)
    return one.outcome


def check_listed(context: Context, provider: Provider, names: Sequence[str]) -> None:
    """Raise UnknownName, with near matches, for the first name that the provider does not list."""
    listed = listed_instruments(context, provider)
    if listed is not None:
        for name in names:
            validate(name, listed)
