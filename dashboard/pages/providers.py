"""Providers: how each is, what it allows and what of that is used; hold, limit, lift, breakers, enable and disable.

Deliberately not here: keys' values, which nobody is shown. Invariant: what is done here is what the command does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.orm import Session

from dashboard.acts import Actor, Line, Name, asked_back, landed, wake
from dashboard.context import Farm, ReadOnly
from dashboard.templating import render
from ingest import providers
from ingest.errors import FixRequest
from ingest.pipeline import by_hand
from ingest.pipeline.audit import acts_on
from ingest.pipeline.context import Context
from ingest.pipeline.credentials import Credential, credential_list, evidence
from ingest.pipeline.entries import duration_s
from ingest.pipeline.events import newest_events
from ingest.pipeline.health_figures import provider_reports

router = APIRouter(prefix="/providers")
_COMMANDS = ("hold", "limit", "lift", "breaker", "providers")


@router.get("")
def show_all(request: Request, farm: Farm, session: ReadOnly) -> Response:
    """Show every provider, a line each."""
    reports = provider_reports(farm, datetime.now(UTC))
    facts = {one.provider: providers.get(one.provider).facts for one in reports}
    reports.sort(key=lambda one: (facts[one.provider].lifecycle == "retired", one.provider))
    keys = _keys(farm, session, list(facts))
    return render(request, "providers.html", reports=reports, facts=facts, keys=keys)


@router.get("/{name}")
def show(request: Request, name: Name, farm: Farm, session: ReadOnly) -> Response:
    """Show one provider, with its history and what can be done."""
    facts = providers.get(name).facts
    [report] = provider_reports(farm, datetime.now(UTC), [name])
    acts = [act for command in _COMMANDS for act in acts_on(session, command, name, limit=10)]
    acts.sort(key=lambda act: -act.id)
    return render(
        request,
        "provider.html",
        report=report,
        facts=facts,
        keys=_keys(farm, session, [name])[name],
        events=newest_events(session, provider=name, limit=50)[::-1],
        acts=acts[:10],
    )


@router.post("/{name}/hold")
def hold(name: Name, reason: Line, farm: Farm, by: Actor, for_: Annotated[Line, Form(alias="for")] = "") -> Response:
    """Ask a provider nothing, for so long or until it is lifted."""
    by_hand.hold(farm, name, _seconds(for_) if for_ else None, reason, datetime.now(UTC), by=by)
    return landed("providers", name)


@router.post("/{name}/lift")
def lift(request: Request, name: Name, farm: Farm, by: Actor, everything: Line = "", sure: Line = "") -> Response:
    """End what holds a provider; with `everything` also what it asked for itself, after asking back."""
    providers.get(name)
    if everything and not sure:
        said = f"{name} itself asked to be left alone for a while. Asking it all the same may get this farm banned."
        fields = {"everything": everything}
        words, command = f"Ask {name} all the same", f"lift {name} --all"
        return asked_back(request, said, words, command, back=f"/providers/{name}", fields=fields)
    by_hand.lift(farm, name, everything=bool(everything), now=datetime.now(UTC), by=by)
    wake(farm)
    return landed("providers", name)


@router.post("/{name}/limit")
def limit(
    name: Name,
    percent: Annotated[int, Form(ge=1, le=100)],
    farm: Farm,
    by: Actor,
    reason: Line = "",
    for_: Annotated[Line, Form(alias="for")] = "",
) -> Response:
    """Use only a part of what a provider allows, for so long or until 100 percent is said."""
    now = datetime.now(UTC)
    if percent == 100:
        by_hand.unlimit(farm, name, now, by=by)
        wake(farm)
    else:
        by_hand.limit(farm, name, percent, _seconds(for_) if for_ else None, reason, now, by=by)
    return landed("providers", name)


@router.post("/{name}/breaker")
def switch_breaker(
    name: Name,
    action: Annotated[Literal["open", "close", "probe"], Form()],
    farm: Farm,
    by: Actor,
    for_: Annotated[Line, Form(alias="for")] = "10m",
) -> Response:
    """Open, close or probe a provider's breakers."""
    by_hand.switch(farm, name, action, _seconds(for_) if action == "open" else 0.0, by=by)
    if action != "open":
        wake(farm)
    return landed("providers", name)


@router.post("/{name}/disable")
def disable(request: Request, name: Name, farm: Farm, by: Actor, sure: Line = "") -> Response:
    """Use a provider no more, after asking back."""
    providers.get(name)
    if not sure:
        said = f"{name} is asked nothing any more until somebody enables it. Its jobs wait, and so does its live data."
        return asked_back(request, said, f"Disable {name}", f"providers disable {name}", back=f"/providers/{name}")
    by_hand.disable(farm, name, datetime.now(UTC), by=by)
    return landed("providers", name)


@router.post("/{name}/enable")
def enable(name: Name, farm: Farm, by: Actor) -> Response:
    """Use a provider again."""
    by_hand.enable(farm, name, datetime.now(UTC), by=by)
    wake(farm)
    return landed("providers", name)


def _keys(context: Context, session: Session, names: list[str]) -> dict[str, list[Credential]]:
    """Return each provider's credentials, without their values."""
    every = (providers.get(name).facts for name in names)
    found: dict[str, list[Credential]] = {name: [] for name in names}
    for one in credential_list(context.settings, every, evidence(session)):
        found[one.provider].append(one)
    return found


def _seconds(text: str) -> float:
    """Return the seconds of a span. Raises FixRequest saying what is accepted."""
    try:
        found = duration_s(text.strip())
    except ValueError as error:
        raise FixRequest(str(error)) from None
    if found <= 0:
        raise FixRequest(f"expected a time over 0, given: {text!r}")
    return found
