"""Findings as people look at them: how many of each kind, and a list by what is asked for. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from ingest.market.quality import RULES
from models import Finding


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which findings; `words` stand in the instrument's name or the reason."""

    rule: str | None = None
    severity: str | None = None
    provider: str | None = None
    dataset: str | None = None
    words: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class FindingKind:
    """A rule, what it says, how many findings and rows there are of it, and when the newest came."""

    rule: str
    says: str
    severity: str
    findings: int
    rows: int
    newest: datetime


def finding_kinds(session: Session, wanted: FindingFilter) -> list[FindingKind]:
    """Return the kinds of what fits, most rows first."""
    figures = func.count(), func.sum(Finding.rows), func.max(Finding.at)
    query = select(Finding.rule, Finding.severity, *figures).where(*_conditions(wanted))
    grouped = query.group_by(Finding.rule, Finding.severity).order_by(func.sum(Finding.rows).desc(), Finding.rule)
    return [
        FindingKind(rule, _says(rule), severity, findings, int(rows), newest)
        for rule, severity, findings, rows, newest in session.execute(grouped)
    ]


def newest_findings(
    session: Session, wanted: FindingFilter, *, limit: int, before_id: int | None = None
) -> Sequence[Finding]:
    """Return the newest findings that fit, newest first; `before_id`: those before that one."""
    query = select(Finding).where(*_conditions(wanted)).order_by(Finding.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Finding.id < before_id)
    return session.scalars(query).all()


def _conditions(wanted: FindingFilter) -> list[ColumnElement[bool]]:
    equal: dict[Any, str | None] = {
        Finding.rule: wanted.rule,
        Finding.severity: wanted.severity,
        Finding.provider: wanted.provider,
        Finding.dataset: wanted.dataset,
    }
    found: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value]
    if wanted.words:
        places = func.upper(func.coalesce(Finding.instrument, "")), func.upper(Finding.reason)
        found.append(or_(*(func.strpos(place, wanted.words.upper()) > 0 for place in places)))
    if wanted.since is not None:
        found.append(Finding.at >= wanted.since)
    return found


def _says(rule: str) -> str:
    return RULES[rule].meaning if rule in RULES else ""
