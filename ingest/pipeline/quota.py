"""Quota: windows of days and months, counted in PostgreSQL before a request is sent.

Deliberately not here: windows of up to an hour (transport/gate). Invariant: what is counted is never less than what was
sent, whatever dies: it is counted first, and only what certainly was not sent is given back. An hour of the clock is
the smallest step, and one that reaches into a window counts in it as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ingest.transport.budget import is_short
from ingest.wire import Limit, Request
from models import QuotaUse

#: A window of over 27 days that begins at somebody's midnight is a month of theirs.
_MONTH_S = 27 * 86_400
_HOUR = timedelta(hours=1)
_USED = text("""
    SELECT coalesce((
        SELECT sum(used) FROM quota_use AS counted
        WHERE (counted.provider, counted.pool, counted.unit) = (asked.provider, asked.pool, asked.unit)
            AND hour >= starts
    ), 0)::bigint
    FROM unnest(CAST(:providers AS text[]), CAST(:pools AS text[]), CAST(:units AS text[]),
        CAST(:starts AS timestamptz[])) WITH ORDINALITY AS asked (provider, pool, unit, starts, place)
    ORDER BY place
""")


@dataclass(frozen=True, slots=True)
class Reserved:
    """How many of the first requests are counted and may be sent, and when the next may, where not all could."""

    count: int
    until: datetime | None = None
    limit: Limit | None = None


def long_limits(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """Return the limits that are counted here."""
    return tuple(limit for limit in limits if not is_short(limit))


def window_start(limit: Limit, now: datetime) -> datetime:
    """Return the first moment that still counts against the limit at `now`."""
    if limit.resets is None:
        return _hour(now - timedelta(seconds=limit.per_s))
    local = now.astimezone(ZoneInfo(limit.resets))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight.replace(day=1) if limit.per_s > _MONTH_S else midnight
    return _hour(first.astimezone(UTC))


def window_end(limit: Limit, now: datetime) -> datetime:
    """Return when the window that `now` lies in is over, for a limit that resets."""
    start = window_start(limit, now).astimezone(ZoneInfo(limit.resets or "UTC"))
    later = start + (timedelta(days=32) if limit.per_s > _MONTH_S else timedelta(days=1, hours=2))
    return window_start(limit, later)


def reserve(
    session: Session, provider: str, pool: str, limits: Sequence[Limit], requests: Sequence[Request], now: datetime
) -> Reserved:
    """Count as many of the first requests as every limit allows, and say how many. One transaction, three statements.

    `limits` are long ones. Callers of one credential take turns (an advisory lock until commit), so none is exceeded.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(7461003, hashtext(:name))"), {"name": f"{provider}:{pool}"})
    count, until, full = len(requests), None, None
    for limit in limits:
        fits = _fitting(limit, requests, used_of(session, [(provider, pool, limit)], now)[0])
        if fits < count:
            count, full = fits, limit
    if full is not None:
        until = _free_at(session, provider, pool, full, now)
    if count:
        _count(session, provider, pool, limits, requests[:count], now, sign=1)
    return Reserved(count, until, full)


def give_back(
    session: Session, provider: str, pool: str, limits: Sequence[Limit], requests: Sequence[Request], now: datetime
) -> None:
    """Take back what `reserve` counted at `now` for requests that were never sent."""
    if requests:
        _count(session, provider, pool, limits, requests, now, sign=-1)


def used_of(session: Session, windows: Sequence[tuple[str, str, Limit]], now: datetime) -> list[int]:
    """Return how much of each window is used: of a provider, a credential's pool and a limit. One statement."""
    asked = {
        "providers": [provider for provider, _, _ in windows],
        "pools": [pool for _, pool, _ in windows],
        "units": [limit.unit for _, _, limit in windows],
        "starts": [window_start(limit, now) for _, _, limit in windows],
    }
    return [used for (used,) in session.execute(_USED, asked)] if windows else []


def _fitting(limit: Limit, requests: Sequence[Request], used: int) -> int:
    room = limit.amount - used
    for count, request in enumerate(requests):
        room -= _share(limit.unit, request)
        if room < 0:
            return count
    return len(requests)


def _free_at(session: Session, provider: str, pool: str, limit: Limit, now: datetime) -> datetime:
    """Return when something of a full window is free again."""
    if limit.resets is not None:
        return window_end(limit, now)
    first = select(func.min(QuotaUse.hour)).where(
        QuotaUse.provider == provider,
        QuotaUse.pool == pool,
        QuotaUse.unit == limit.unit,
        QuotaUse.used > 0,
        QuotaUse.hour >= window_start(limit, now),
    )
    oldest: datetime | None = session.scalars(first).one()
    return (oldest or _hour(now)) + timedelta(seconds=limit.per_s) + _HOUR


def _count(
    session: Session,
    provider: str,
    pool: str,
    limits: Sequence[Limit],
    requests: Sequence[Request],
    now: datetime,
    *,
    sign: int,
) -> None:
    rows = [
        {
            "provider": provider,
            "pool": pool,
            "unit": unit,
            "hour": _hour(now),
            "used": sign * sum(_share(unit, request) for request in requests),
        }
        for unit in sorted({limit.unit for limit in limits})
    ]
    new = insert(QuotaUse)
    session.execute(
        new.on_conflict_do_update(
            index_elements=["provider", "pool", "unit", "hour"],
            set_={"used": func.greatest(QuotaUse.used + new.excluded.used, 0)},
        ),
        rows,
    )


def _share(unit: str, request: Request) -> int:
    return request.weight if unit == "weight" else 1


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
