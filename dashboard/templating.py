"""Pages from templates. Deliberately not here: what is on them. Invariant: every value is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates

from dashboard.access import access_of
from dashboard.heat import draw

_FOLDER = Path(__file__).with_name("templates")
#: path and words of the menu
MENU = (
    ("/", "Data"),
    ("/providers", "Providers"),
    ("/queues", "Queues"),
    ("/backfills", "Backfills"),
    ("/schedule", "Schedule"),
    ("/dead", "Dead letters"),
    ("/findings", "Findings"),
    ("/audit", "Audit"),
)


def render(
    request: Request, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> Response:
    """Return a page; every template may use `menu`, `access` and `now` beside its own values."""
    shown = {"menu": MENU, "access": access_of(request), "now": datetime.now(UTC)} | values
    return _templates().TemplateResponse(request, template, shown, status_code=status, headers=headers)


@cache
def _templates() -> Jinja2Templates:
    templates = Jinja2Templates(directory=_FOLDER)
    templates.env.filters |= {"days": draw, "utc": utc, "ago": ago, "span": span, "size": size}
    return templates


def utc(moment: datetime | None) -> str:
    """Return a moment as `2026-11-30 14:03:07`, in UTC; a dash for none."""
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def ago(moment: datetime | None, now: datetime) -> str:
    """Return how far away a moment is, in its largest unit: `12 s ago`, `in 3 min`; a dash for none."""
    if moment is None:
        return "-"
    seconds = (now - moment).total_seconds()
    amount = next(
        f"{abs(seconds) / size:.0f} {unit}"
        for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
        if abs(seconds) >= size or size == 1
    )
    return f"{amount} ago" if seconds >= 0 else f"in {amount}"


def span(seconds: float) -> str:
    """Return a time in two units at most: `3 d 4 h`, `2 h 5 min`, `1 h`, `45 s`."""
    whole = round(seconds)
    for unit, width, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= width:
            rest = whole % width // part
            return f"{whole // width} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def size(count: float) -> str:
    """Return a number of bytes in its largest unit: `1.5 MB`."""
    for unit, width in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= width:
            return f"{count / width:,.1f} {unit}"
    return f"{count:.0f} B"
