"""Backfills: how far each is, what a new one would take, order it, cancel it.

Invariant: what is ordered is planned again as it is ordered; the plan on the page is what it would have taken then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from dashboard.acts import Actor, Line, Number, Texts, asked_back, landed, wake
from dashboard.context import Farm, ReadOnly
from dashboard.templating import render
from ingest import providers
from ingest.errors import FixRequest
from ingest.market.intervals import INTERVALS
from ingest.market.records import DATASETS
from ingest.market.times import parse_time
from ingest.pipeline import backfill as orders
from ingest.pipeline.audit import acts_on
from ingest.pipeline.backfill_days import MODES
from ingest.pipeline.backfill_plan import Ask, Plan, check_ask, plan
from ingest.pipeline.backfill_status import newest, progress_of
from ingest.pipeline.calls import WITHOUT_HISTORY
from ingest.pipeline.terms import refuse_unusable
from ingest.settings import Settings

router = APIRouter(prefix="/backfills")
FIELDS = ("provider", "dataset", "instruments", "interval", "start", "end", "mode")
_NEWEST = 20
_CHOICES: dict[str, Any] = {
    "providers": providers.names(),
    "datasets": [one for one in DATASETS if one not in WITHOUT_HISTORY],
    "intervals": list(INTERVALS),
    "modes": list(MODES),
}


@router.get("")
def show_all(request: Request, farm: Farm, session: ReadOnly) -> Response:
    """Show the newest orders, and the form for another."""
    now = datetime.now(UTC)
    found = [progress_of(session, farm.settings, one, now) for one in newest(session, _NEWEST)]
    return render(request, "backfills.html", orders=found, given={}, **_CHOICES)


@router.get("/plan")
def show_plan(request: Request, farm: Farm, session: ReadOnly) -> Response:
    """Say what it would take, and change nothing."""
    given = {name: request.query_params.get(name, "")[:4_000].strip() for name in FIELDS}
    try:
        ask = _ask(farm.settings, given)
        found: Plan | None = plan(session, farm.settings, ask, datetime.now(UTC))
        refuse_unusable(farm.settings, ask.provider.facts)
    except FixRequest as error:
        values: dict[str, Any] = {"error": str(error), "given": given, "plan": None, "ask": None}
        return render(request, "backfill_plan.html", status=400, **values, **_CHOICES)
    commands = {verb: orders.command_of(ask, verb) for verb in ("plan", "run")}
    shown: dict[str, Any] = {"error": None, "given": given, "plan": found, "ask": ask, "commands": commands}
    return render(request, "backfill_plan.html", **shown, **_CHOICES)


@router.get("/{number}")
def show(request: Request, number: Number, farm: Farm, session: ReadOnly) -> Response:
    """Show one order."""
    one = progress_of(session, farm.settings, orders.find(session, number), datetime.now(UTC))
    acts = acts_on(session, "backfill", f"backfill {number}", limit=10)
    return render(request, "backfill.html", order=one, acts=acts)


@router.post("")
def run(request: Request, texts: Texts, farm: Farm, by: Actor) -> Response:
    """Order it."""
    given = {name: texts.get(name, "") for name in FIELDS}
    now, ask = datetime.now(UTC), _ask(farm.settings, given)
    refuse_unusable(farm.settings, ask.provider.facts)
    with farm.sessions.begin() as session:
        number, _ = orders.run(session, farm.settings, ask, by=by, now=now)
    if number is None:
        raise FixRequest("nothing of it is missing: nothing is ordered")
    wake(farm)
    return landed("backfills", str(number))


@router.post("/{number}/cancel")
def cancel(request: Request, number: Number, farm: Farm, by: Actor, sure: Line = "") -> Response:
    """Cancel an order, after asking back with how much is left of it."""
    now = datetime.now(UTC)
    if not sure:
        with farm.sessions() as session:
            left = progress_of(session, farm.settings, orders.find(session, number), now).left
        said = f"Up to {left:,} jobs of backfill {number} are not fetched. What is stored stays; what runs ends."
        words, command = f"Cancel backfill {number}", f"backfill cancel {number}"
        return asked_back(request, said, words, command, back=f"/backfills/{number}")
    with farm.sessions.begin() as session:
        orders.cancel(session, number, now, by=by)
    wake(farm)
    return landed("backfills", str(number))


def _ask(config: Settings, given: Mapping[str, Any]) -> Ask:
    """Return what a form asks for. Raises FixRequest."""
    if any("\x00" in value for value in given.values()):
        raise FixRequest("a NUL stands in no name and no time")
    now, names = datetime.now(UTC), given["instruments"].replace(",", " ").split()
    if not names:
        raise FixRequest("name an instrument at least: BTC-USDT, AAPL, EUR-USD")
    if not given["start"]:
        raise FixRequest("give the first moment wanted: 2024-01-01")
    return check_ask(
        config,
        providers.get(given["provider"]),
        given["dataset"],
        names,
        interval=given["interval"] or None,
        start=parse_time(given["start"]),
        end=parse_time(given["end"]) if given["end"] else now,
        mode=given["mode"] or "missing",
        now=now,
    )
