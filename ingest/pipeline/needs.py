"""What needs a human: the things the farm can't mend itself, each a sentence with the command that mends it.

Reads only. Deliberately not here: the farm's verdict (health) and what heals alone (gaps, breakers, retries).
Invariant: nothing is told that nobody can do anything about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.pipeline.context import Context
from ingest.pipeline.credentials import credential_list, evidence
from ingest.pipeline.health_figures import FarmReport
from ingest.pipeline.provider_state import EVERY_POOL
from models import DeadLetter, Series

Kind = Literal["beat", "workers", "key", "instrument", "dead", "suspect", "disabled"]
#: Names that a sentence holds; the page behind it has them all.
_NAMES_SHOWN = 3
_SUSPECT = text("SELECT count(*), count(DISTINCT series_id) FROM ledger WHERE state = 'suspect'")
_HELD = text("""
    SELECT hold.provider, reason, hold.until, count(series.id) AS series
    FROM provider_holds AS hold LEFT JOIN series ON series.provider = hold.provider AND followed
    WHERE kind = 'manual' AND pool = :every AND (hold.until IS NULL OR hold.until > :now) GROUP BY 1, 2, 3 ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class Need:
    """A sentence, where more about it stands (a page's address) and the command that mends it, without `tickfarm`."""

    kind: Kind
    says: str
    page: str
    command: str


def needs(context: Context, session: Session, report: FarmReport) -> list[Need]:
    """Return what needs a human now, what stops the most first. Six small queries beside what is reported."""
    found = [*_of_processes(report), *_of_keys(context, session), *_of_providers(context, session, report.at)]
    return [*found, *_of_days(session), *_of_letters(session), *_of_instruments(session)]


def _of_processes(report: FarmReport) -> Iterator[Need]:
    if not report.figures.has_leader:
        yield Need("beat", "Beat is silent: nothing that is due is sent to a worker.", "/queues", "up")
    workers = report.workers
    if not workers:
        yield Need("workers", "No worker is there: nothing is fetched.", "/queues", "up")
    elif all(worker.draining for worker in workers):
        resume = f"workers resume {workers[0].name}"
        yield Need("workers", "Every worker drains: nothing new is begun.", "/queues", resume)


def _of_keys(context: Context, session: Session) -> Iterator[Need]:
    known = evidence(session)
    facts = [providers.get(name).facts for name in providers.names() if name in known.followed]
    for key in credential_list(context.settings, facts, known):
        if not key.needed:
            continue
        what = f"is refused: {key.reason}" if key.state == "refused" else "is missing, and series are followed with it"
        yield Need("key", f"{key.variable} of {key.provider} {what}.", f"/providers/{key.provider}", "keys")


def _of_providers(context: Context, session: Session, now: datetime) -> Iterator[Need]:
    for name, series in _followed(session).items():
        if not context.settings.of_provider(name).enabled:
            says = f"{name} is switched off by a setting; {series} series are followed of it."
            yield Need("disabled", says, f"/providers/{name}", "config show")
    for name, reason, until, series in session.execute(_HELD, {"every": EVERY_POOL, "now": now}):
        when = "until somebody lifts it" if until is None else f"until {until:%Y-%m-%d %H:%M} UTC"
        says = f"{name} is asked nothing {when} ({reason}); {series} series are followed of it."
        yield Need("disabled", says, f"/providers/{name}", f"lift {name}")


def _of_days(session: Session) -> Iterator[Need]:
    days, series = session.execute(_SUSPECT).one()
    if days:
        says = (
            f"{_many(days, 'day')} of {series} series {_is(days)} suspect: the table does not hold what was answered."
        )
        yield Need("suspect", says, "/?state=suspect", "gaps --check")


def _of_letters(session: Session) -> Iterator[Need]:
    by_error = (
        select(DeadLetter.error_class, func.count())
        .where(DeadLetter.state == "open")
        .group_by(DeadLetter.error_class)
        .order_by(func.count().desc(), DeadLetter.error_class)
    )
    counts = session.execute(by_error).all()
    if counts:
        total = sum(row[1] for row in counts)
        names = _names([f"{name} {count}" for name, count in counts])
        yield Need("dead", f"{_many(total, 'piece')} of work {_is(total)} given up: {names}.", "/dead", "dead ls")


def _of_instruments(session: Session) -> Iterator[Need]:
    query = select(Series).where(Series.followed, Series.refused.is_not(None))
    refused: dict[tuple[str, str, str], list[str]] = {}
    for one in session.scalars(query.order_by(Series.provider, Series.dataset, Series.instrument)):
        refused.setdefault((one.provider, one.dataset, one.interval), []).append(one.instrument)
    for (provider, dataset, interval), instruments in refused.items():
        width = f" --interval {interval}" if interval else ""
        still = f"{dataset} of {_many(len(instruments), 'name')} stand still"
        says = f"{provider} does not know {_names(instruments)}: {still}."
        page = f"/?provider={provider}&dataset={dataset}&words={instruments[0]}"
        yield Need("instrument", says, page, f"unfollow {provider} {dataset} {instruments[0]}{width}")


def _followed(session: Session) -> dict[str, int]:
    query = select(Series.provider, func.count()).where(Series.followed).group_by(Series.provider)
    return {row[0]: row[1] for row in session.execute(query.order_by(Series.provider))}


def _names(every: list[str]) -> str:
    more = len(every) - _NAMES_SHOWN
    return ", ".join(every[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
