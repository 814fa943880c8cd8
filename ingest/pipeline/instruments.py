"""Instruments: what a provider lists, asked of it, so that a misspelt name is caught before it is owed; names that end.

Deliberately not here: the grammar of names (market/symbols). A provider without a catalogue can't be checked this way.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ingest.errors import FixRequest, TryAgain, UnknownName
from ingest.market.symbols import validate
from ingest.pipeline import jobs, provider_state
from ingest.pipeline.context import Context
from ingest.pipeline.exchange import Exchanged, Line, Sender, endpoint_of, exchange
from ingest.pipeline.fetch_log import Asker, Ending, Trace, log_rows
from ingest.pipeline.terms import refuse_unusable, terms_of
from ingest.providers.contract import Provider
from ingest.telemetry import redact_error
from ingest.wire import Answer, Request
from models import Series
from models.fetch_log import CATALOGUE

#: A person waits for this at a prompt.
PATIENCE_S = 10.0
#: Names that are shown for one that is not there.
MOST_NEAR = 10


def listed_instruments(context: Context, provider: Provider, text: str = "") -> list[str] | None:
    """Return the instruments the provider lists now, sorted; None where it has no catalogue. Cost: one request.

    With `text`, those that a search for it finds where the provider can only be searched, else all. Raises TryAgain (or
    the error the provider sent) when it can't be asked.
    """
    request = provider.catalogue(text)
    return None if request is None else sorted(set(provider.listed(ask(context, provider, request))))


def search(context: Context, provider: Provider, text: str) -> list[str]:
    """Return the listed instruments that hold `text`, or else the nearest to it; all for an empty text.

    Raises FixRequest where the provider has no list.
    """
    listed = listed_instruments(context, provider, text)
    name = provider.facts.name
    if listed is None:
        what = "search for something: --search TEXT" if provider.catalogue("A") is not None else "its pages have one"
        raise FixRequest(f"{name} has no list of instruments; {what} ({provider.facts.docs_url})", provider=name)
    wanted = text.strip().upper()
    if provider.catalogue() is None:
        return listed  # what it found may be called otherwise
    holding = [one for one in listed if wanted in one]
    return holding or get_close_matches(wanted, listed, n=MOST_NEAR, cutoff=0.5)


def is_pattern(text: str) -> bool:
    """Say whether `text` stands for the names that fit it, as `BTC-*` does; no name has such letters."""
    return bool(set(text) & set("*?["))


def expand(context: Context, provider: Provider, patterns: Sequence[str]) -> list[str]:
    """Return the names, and in place of each pattern (`BTC-*`) the listed instruments that it fits.

    Costs a request where there is a pattern. Raises FixRequest for one that fits nothing, or where there is no list.
    """
    if not any(map(is_pattern, patterns)):
        return list(patterns)
    listed = listed_instruments(context, provider)
    name = provider.facts.name
    if listed is None:
        raise FixRequest(f"{name} has no list of instruments, so name each instead of a pattern", provider=name)
    found: dict[str, None] = {}
    for pattern in patterns:
        fitting = fnmatch.filter(listed, pattern.upper()) if is_pattern(pattern) else [pattern]
        if not fitting:
            raise FixRequest(f"no instrument of {name} fits {pattern!r}: tickfarm instruments {name}", provider=name)
        found |= dict.fromkeys(fitting)
    return list(found)


def end_instrument(session: Session, provider: str, instrument: str, *, on: datetime, renamed_to: str | None) -> int:
    """Note that the name ended on that day at that provider; return how many series that ends.

    What is stored stays. Nothing is expected of these series from then on, and they are no longer followed; with
    `renamed_to`, series of the new name are followed from then on wherever the old ones were. Saying it again with
    another day corrects it. Raises UnknownName for an instrument that is not known here.
    """
    ended = session.scalars(
        select(Series).where(Series.provider == provider, Series.instrument == instrument).with_for_update()
    ).all()
    if not ended:
        known = session.scalars(select(Series.instrument).where(Series.provider == provider).distinct()).all()
        raise UnknownName("instrument with series", instrument, sorted(known)[:MOST_NEAR], provider=provider)
    for series in ended:
        if renamed_to is not None and (series.followed or series.renamed_to == renamed_to):
            _follow_on(session, series, renamed_to, on)
        series.followed, series.until, series.renamed_to = False, on, renamed_to
    return len(ended)


def _follow_on(session: Session, old: Series, name: str, on: datetime) -> None:
    new = insert(Series).values(
        provider=old.provider,
        dataset=old.dataset,
        interval=old.interval,
        instrument=name,
        followed=True,
        since=on,
        adjustment=old.adjustment,
    )
    session.execute(
        new.on_conflict_do_update(
            index_elements=["provider", "dataset", "instrument", "interval"], set_={"followed": True, "refused": None}
        )
    )


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
