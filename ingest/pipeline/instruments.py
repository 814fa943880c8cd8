"""Instruments: what a provider lists, asked of it, so that a misspelt name is caught before it is owed.

Deliberately not here: the grammar of names (market/symbols). A provider without a catalogue can't be checked this way.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.errors import TryAgain
from ingest.market.symbols import validate
from ingest.pipeline.context import Context
from ingest.pipeline.sending import endpoint_of
from ingest.providers.contract import Provider
from ingest.transport.retry import failure_to_error
from ingest.wire import Answer

#: A person waits for this at a prompt.
PATIENCE_S = 10.0


def listed_instruments(context: Context, provider: Provider) -> list[str] | None:
    """Return the instruments the provider lists now, sorted; None where it has no catalogue. Cost: one request.

    Raises TryAgain (or the error the provider sent) when it can't be asked.
    """
    facts, request = provider.facts, provider.catalogue()
    if request is None:
        return None
    wait_s = context.pacer.take(facts.name, facts.limits, 1, request.weight, max_wait_s=0.0)
    if wait_s > 0:
        raise TryAgain(f"{facts.name} can't be asked for its instruments for {wait_s:.0f} s", provider=facts.name)
    [outcome] = context.client.send(
        [request],
        endpoint_of(context, facts),
        deadline_s=PATIENCE_S,
        max_bytes=context.settings.tickfarm_max_answer_bytes,
    )
    if not isinstance(outcome, Answer):
        raise failure_to_error(outcome, facts.name)
    error = provider.error_of(outcome)
    if error is not None:
        raise error
    return sorted(provider.listed(outcome))


def check_listed(context: Context, provider: Provider, names: Sequence[str]) -> None:
    """Raise UnknownName, with near matches, for the first name that the provider does not list."""
    listed = listed_instruments(context, provider)
    if listed is not None:
        for name in names:
            validate(name, listed)
