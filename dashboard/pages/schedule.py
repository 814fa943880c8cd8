"""The schedule: what runs when, who says so; change, pause, resume, run now, reset, add, remove.

Deliberately not here: what an entry may say (ingest/pipeline/entries.py). Invariant: a change counts from what its form
showed: what somebody else has changed meanwhile is never overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy.orm import Session

from dashboard.acts import Actor, Line, Name, Texts, asked_back, landed, wake
from dashboard.context import Farm, ReadOnly
from dashboard.templating import render
from ingest.errors import FixRequest
from ingest.pipeline import schedule_edits
from ingest.pipeline.audit import acts_on
from ingest.pipeline.entries import EntrySpec
from ingest.pipeline.entry_options import command_of, fields_of_texts, text_of
from ingest.pipeline.runs import history
from ingest.pipeline.schedule_edits import Changed, EntryView
from tasks.known import lanes, names

router = APIRouter(prefix="/schedule")
#: the form's fields: name, words, what may be said
FIELDS = (
    ("schedule", "Cadence", "a period (500ms, 30s, 5m, 1d) or cron's five fields (15 6 * * 1-5)"),
    ("timezone", "Zone of cron's fields", "UTC, America/New_York"),
    ("offset", "Offset", "moves a period's grid: 7s"),
    ("task", "Task", "tasks.fetch.binance"),
    ("kwargs", "Arguments", 'JSON: {"dataset": "quotes"}'),
    ("lane", "Lane", ""),
    ("priority", "Priority", "1 (first) to 5"),
    ("after", "After", "the entry whose run it waits for"),
    ("overlap", "Overlap", "whether a slot is owed while the run before is at work"),
    ("catch_up", "Catch up", "missed slots"),
    ("catch_up_limit", "Catch up at most", "with all"),
    ("expires_s", "Expires", "seconds after which a job nobody began is dropped"),
    ("timeout_s", "Timeout", "seconds a fetch may take"),
    ("retries", "Retries", "failures that are forgiven"),
    ("per_minute", "Requests a minute", "that its jobs may send together"),
    ("window", "Window", "ask for so much before the slot: 1d"),
)
_SLOTS, _RUNS = 3, 20


@router.get("")
def show_all(request: Request, session: ReadOnly) -> Response:
    """Show the entries, a line each."""
    found = schedule_edits.views(session, datetime.now(UTC), lanes(), slots=_SLOTS)
    return render(request, "schedule.html", entries=found, acts=acts_on(session, "schedule", limit=10))


@router.get("/new")
def show_new(request: Request) -> Response:
    """Show the form of an entry that is to be added."""
    return _form_of_new(request, "", _texts_of({}))


@router.get("/entry/{name:path}")
def show(request: Request, name: Name, session: ReadOnly) -> Response:
    """Show one entry: whose it is, when it runs, what was changed, and its form."""
    return _page(request, session, name)


@router.post("")
def add(request: Request, texts: Texts, farm: Farm, by: Actor) -> Response:
    """Add an entry; a form that is not whole comes back with why."""
    name = " ".join(texts.get("name", "").split())
    given = {field: texts.get(field, "") for field, *_ in FIELDS}
    try:
        fields = {field: value for field, value in fields_of_texts(_said(given)).items() if value is not None}
        with farm.sessions.begin() as session:
            schedule_edits.add(session, name, fields, names(), datetime.now(UTC), by=by)
    except FixRequest as error:
        return _form_of_new(request, name, given, error=str(error))
    return _landed(name)


@router.post("/set/{name:path}")
def change(request: Request, name: Name, texts: Texts, farm: Farm, by: Actor) -> Response:
    """Change what the form says otherwise than the entry; a form that can't be comes back with why."""
    given = {field: texts[field] for field, *_ in FIELDS if field in texts}
    with farm.sessions() as session:
        now_said = _texts_of(_view(session, name).fields)
    changed = {field: text for field, text in given.items() if " ".join(text.split()) != now_said[field]}
    try:
        if not changed:
            raise FixRequest("nothing is changed: the form says what the entry says")
        with farm.sessions.begin() as session:
            fields, seen = fields_of_texts(changed), _moment(texts.get("seen", ""))
            schedule_edits.edit(session, name, fields, names(), datetime.now(UTC), by=by, seen=seen)
    except FixRequest as error:
        with farm.sessions() as session:
            status = 409 if isinstance(error, Changed) else 400
            return _page(request, session, name, given=given, error=str(error), status=status)
    return _landed(name)


@router.post("/pause/{name:path}")
def pause(name: Name, farm: Farm, by: Actor) -> Response:
    """Keep an entry from running."""
    return _enable(name, farm, by, is_enabled=False)


@router.post("/resume/{name:path}")
def resume(name: Name, farm: Farm, by: Actor) -> Response:
    """Let a paused entry run again."""
    return _enable(name, farm, by, is_enabled=True)


@router.post("/run/{name:path}")
def run(name: Name, farm: Farm, by: Actor) -> Response:
    """Owe an entry's work now."""
    with farm.sessions.begin() as session:
        schedule_edits.run_now(session, name, names(), datetime.now(UTC), by=by)
    wake(farm)
    return _landed(name)


@router.post("/reset/{name:path}")
def reset(request: Request, name: Name, farm: Farm, by: Actor, sure: Line = "") -> Response:
    """Let the file's word count again, after asking back with what is forgotten."""
    if not sure:
        with farm.sessions() as session:
            edits = _view(session, name).edits
        gone = ", ".join(f"{field} {text_of(value)}" for field, value in edits.items()) or "nothing"
        said = f"What was changed by hand of {name} is forgotten: {gone}. What beat_schedule.py says counts again."
        return _asked_back(request, name, said, f"Reset {name}", command_of("reset", name, {}))
    with farm.sessions.begin() as session:
        schedule_edits.reset(session, name, datetime.now(UTC), by=by)
    return _landed(name)


@router.post("/remove/{name:path}")
def remove(request: Request, name: Name, farm: Farm, by: Actor, sure: Line = "") -> Response:
    """Stop an entry for good, after asking back with what that means for it."""
    with farm.sessions() as session:
        is_ours = _view(session, name).owner == "operator"
    if not sure:
        how = "deleted with its history" if is_ours else "stopped; it is in the file, and comes back by a reset only"
        return _asked_back(request, name, f"{name} is {how}.", f"Remove {name}", command_of("remove", name, {}))
    with farm.sessions.begin() as session:
        schedule_edits.remove(session, name, by=by)
    return landed("schedule") if is_ours else _landed(name)


def _enable(name: str, farm: Farm, by: Actor, *, is_enabled: bool) -> Response:
    with farm.sessions.begin() as session:
        schedule_edits.edit(session, name, {"enabled": is_enabled}, names(), datetime.now(UTC), by=by)
    return _landed(name)


def _landed(name: str) -> Response:
    return landed("schedule", "entry", name)


def _asked_back(request: Request, name: str, said: str, words: str, command: str) -> Response:
    back = str(_landed(name).headers["location"])
    return asked_back(request, said, words, command, back=back)


def _page(
    request: Request,
    session: Session,
    name: str,
    *,
    given: Mapping[str, str] | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    view = _view(session, name)
    zone = _zone(str(view.fields.get("timezone") or "UTC"))
    texts = _texts_of(view.fields)
    return render(
        request,
        "entry.html",
        status=status,
        view=view,
        slots=[(slot, slot.astimezone(zone)) for slot in view.slots],
        runs=history(session, name, limit=_RUNS),
        acts=acts_on(session, "schedule", name, limit=20),
        form=FIELDS,
        now_said=texts,
        given=texts | dict(given or {}),
        lanes=lanes(),
        error=error,
    )


def _form_of_new(request: Request, name: str, given: Mapping[str, str], *, error: str | None = None) -> Response:
    values: dict[str, Any] = {
        "name": name,
        "given": _texts_of({}) | dict(given),
        "error": error,
        "form": FIELDS,
        "lanes": lanes(),
    }
    return render(request, "entry_new.html", status=400 if error else 200, **values)


def _view(session: Session, name: str) -> EntryView:
    found = schedule_edits.views(session, datetime.now(UTC), lanes(), name=name, slots=_SLOTS)
    if not found:
        raise HTTPException(404, f"no entry of the schedule is named {name!r}")
    return found[0]


def _texts_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return what a form shows of these fields, with the defaults of those that are not said."""
    every = {field: EntrySpec.model_fields[field] for field, *_ in FIELDS}
    return {field: text_of(fields.get(field, "" if one.is_required() else one.default)) for field, one in every.items()}


def _said(given: Mapping[str, str]) -> dict[str, str]:
    """Return the texts that say something else than the default."""
    defaults = _texts_of({})
    return {field: text for field, text in given.items() if " ".join(text.split()) not in ("", defaults[field])}


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise FixRequest("the form does not say of when it is: look again, then change it") from None


def _zone(name: str) -> tzinfo:
    with suppress(OSError, ValueError, KeyError):
        return ZoneInfo(name)
    return UTC
