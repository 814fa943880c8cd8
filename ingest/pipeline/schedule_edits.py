"""Changes of the schedule: what the file says now, and what an operator says on top of it until it is reset.

Deliberately not here: reading the file (the shell) and acting on it (schedule). Invariant: a change is checked as a
whole entry before it is written, and it is seen by the leader because `changed_at` moves with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import quote
from typing import Any, Literal

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ingest.errors import FixRequest, UnknownName
from ingest.pipeline.audit import By, write_down
from ingest.pipeline.entries import REMOVED, Entry, effective, in_words, read_entry
from ingest.pipeline.entry_options import command_of
from ingest.pipeline.jobs import insert_jobs
from ingest.pipeline.runs import newest
from ingest.pipeline.schedule import followed_of, jobs_of, kind_of
from models import ScheduleEntry, ScheduleRun

#: Fields whose change makes a new cadence: what its old one missed is not owed any more.
_CADENCE = ("schedule", "timezone", "offset", "enabled")
Owner = Literal["file", "file, edited", "operator"]
#: Of an entry that is added by hand: it becomes a part of jobs' keys and of addresses.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.: -]{0,99}", re.ASCII)


class Changed(FixRequest):
    """Somebody else has changed the entry since it was looked at."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names an entry may use: the lanes and the tasks there are."""

    lanes: Collection[str]
    tasks: Collection[str]


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry as people see it. `edits` is what an operator changed; `next_slot` is None while it does not run."""

    name: str
    owner: Owner
    state: Literal["active", "paused", "removed"]
    cadence: str
    fields: Mapping[str, Any]
    edits: Mapping[str, Any]
    next_slot: datetime | None
    last_run: ScheduleRun | None
    changed_at: datetime
    #: its next slots, where it runs and more than one was asked for
    slots: Sequence[datetime] = ()


def sync_file(session: Session, specs: Mapping[str, Mapping[str, Any]], now: datetime) -> list[str]:
    """Make the table say what the file says; return the names that changed. What operators said stays on top of it.

    An entry that is gone from the file stops; one that comes (back) owes its first slot after `now`.
    """
    rows = {row.name: row for row in session.scalars(select(ScheduleEntry).with_for_update())}
    changed = []
    for name, spec in sorted(specs.items()):
        if name not in rows:
            changed.append(name)
            session.add(ScheduleEntry(name=name, spec=dict(spec), edits={}, last_slot=now))
            continue
        row = rows[name]
        if row.spec == spec:
            continue
        changed.append(name)
        if row.spec is None or any(row.spec.get(field) != spec.get(field) for field in _CADENCE):
            row.last_slot = max(row.last_slot, now)
        row.spec, row.changed_at = dict(spec), func.clock_timestamp()
    for name in sorted(set(rows) - set(specs)):
        row = rows[name]
        if row.spec is not None:
            changed.append(name)
            row.spec, row.changed_at = None, func.clock_timestamp()
        if effective(None, row.edits) is None:
            session.delete(row)
    return changed


def add(session: Session, name: str, fields: Mapping[str, Any], names: Names, now: datetime, *, by: By) -> Entry:
    """Add an operator's entry. Raises FixRequest when it is not whole, or when one of that name is there."""
    if not _NAME.fullmatch(name):
        raise FixRequest(f"expected a name of letters, digits, '_', '.', ':', '-' and spaces, found: {name[:100]!r}")
    entry = _checked(session, name, fields, names)
    row = insert(ScheduleEntry).values(name=name, spec=None, edits=dict(fields), last_slot=now)
    if session.scalar(row.on_conflict_do_nothing().returning(ScheduleEntry.name)) is None:
        raise FixRequest(f"schedule entry {name!r} is there already: `tickfarm schedule set {name} ..` changes it")
    write_down(session, by, command_of("add", name, fields), name, after=fields)
    return entry


def edit(
    session: Session,
    name: str,
    fields: Mapping[str, Any],
    names: Names,
    now: datetime,
    *,
    by: By,
    seen: datetime | None = None,
) -> Entry:
    """Change some fields of an entry; they win over the file until it is reset.

    `seen` is the `changed_at` of the entry as whoever changes it saw it. Raises Changed where it is another by now.
    """
    row = _row(session, name)
    if seen is not None and row.changed_at != seen:
        raise Changed(f"schedule entry {name!r} has changed since you looked at it: look again, then change it")
    edits = {field: value for field, value in {**row.edits, **fields}.items() if field != REMOVED}
    merged = effective(row.spec, edits)
    if merged is None:
        raise _unknown(session, name)
    entry = _checked(session, name, merged, names)
    before = {field: {**(row.spec or {}), **row.edits}.get(field) for field in fields}
    write_down(session, by, command_of("set", name, fields), name, before=before, after=fields)
    if set(fields) & set(_CADENCE) or REMOVED in row.edits:
        row.last_slot = max(row.last_slot, now)
    row.edits, row.changed_at = edits, func.clock_timestamp()
    return entry


def remove(session: Session, name: str, *, by: By) -> None:
    """Stop an entry: an operator's own is deleted, the file's is kept from running until it is reset."""
    row = _row(session, name)
    before = effective(row.spec, row.edits) or {}
    write_down(session, by, f"schedule remove {quote(name)}", name, before=before, after={REMOVED: True})
    if row.spec is None:
        session.delete(row)
        session.execute(delete(ScheduleRun).where(ScheduleRun.entry == name))
        return
    row.edits, row.changed_at = {**row.edits, REMOVED: True}, func.clock_timestamp()


def reset(session: Session, name: str, now: datetime, *, by: By) -> None:
    """Forget what operators said about an entry of the file. Raises FixRequest for an operator's own entry."""
    row = _row(session, name)
    if row.spec is None:
        raise FixRequest(f"schedule entry {name!r} is not in the file: `tickfarm schedule remove {name}` deletes it")
    after = {field: row.spec.get(field) for field in row.edits}
    write_down(session, by, f"schedule reset {quote(name)}", name, before=row.edits, after=after)
    if set(row.edits) & {*_CADENCE, REMOVED}:
        row.last_slot = max(row.last_slot, now)
    row.edits, row.changed_at = {}, func.clock_timestamp()


def run_now(session: Session, name: str, names: Names, now: datetime, *, by: By) -> tuple[int, int]:
    """Owe an entry's work now, paused or not, whatever its cadence says; return the run's id and how many jobs it has.

    Raises FixRequest when there is nothing to do (nothing of its kind is followed).
    """
    row = _row(session, name)
    fields = effective(row.spec, {field: value for field, value in row.edits.items() if field != REMOVED})
    if fields is None:
        raise _unknown(session, name)
    entry = read_entry(name, fields, lanes=names.lanes, tasks=names.tasks)
    kind = kind_of(entry)
    owed = jobs_of(entry, now, followed_of(session, [kind] if kind is not None else []), prefix="hand")
    if not owed:
        raise FixRequest(f"schedule entry {name!r} has nothing to do: nothing of its kind is followed")
    run = ScheduleRun(entry=name, slot=now, by_hand=True, jobs=len(owed))
    session.add(run)
    session.flush()
    insert_jobs(session, [replace(job, run_id=run.id) for job in owed])
    write_down(session, by, f"schedule run {quote(name)}", name, after={"run": run.id, "jobs": len(owed)})
    return run.id, len(owed)


def views(
    session: Session, now: datetime, lanes: Collection[str], *, name: str | None = None, slots: int = 1
) -> list[EntryView]:
    """Return every entry as people see it, by name, with its next slots; `name`: that one, none where there is none."""
    query = select(ScheduleEntry).order_by(ScheduleEntry.name)
    rows = session.scalars(query if name is None else query.where(ScheduleEntry.name == name)).all()
    runs = newest(session, [row.name for row in rows])
    return [_view(row, runs.get(row.name), now, lanes, slots) for row in rows]


def active(session: Session, lanes: Collection[str]) -> list[Entry]:
    """Return the entries that run, by name; what can't be read is left out (`views` says why)."""
    found = []
    for row in session.scalars(select(ScheduleEntry).order_by(ScheduleEntry.name)):
        fields = effective(row.spec, row.edits)
        if fields is not None and fields.get("enabled", True):
            with suppress(FixRequest):
                found.append(read_entry(row.name, fields, lanes=lanes))
    return found


def _view(row: ScheduleEntry, run: ScheduleRun | None, now: datetime, lanes: Collection[str], most: int) -> EntryView:
    edits = {field: value for field, value in row.edits.items() if field != REMOVED}
    fields = effective(row.spec, edits) or edits
    is_active = REMOVED not in row.edits and fields.get("enabled", True)
    owner: Owner = "operator" if row.spec is None else "file, edited" if row.edits else "file"
    try:
        entry = read_entry(row.name, fields, lanes=lanes)
        cadence = in_words(entry.spec)
        slots = _next_slots(entry, max(now, row.last_slot), most) if is_active else []
    except FixRequest as error:
        cadence, slots = str(error), []
    return EntryView(
        name=row.name,
        owner=owner,
        state="active" if is_active else "removed" if REMOVED in row.edits else "paused",
        cadence=cadence,
        fields=fields,
        edits=dict(row.edits),
        next_slot=slots[0] if slots else None,
        last_run=run,
        changed_at=row.changed_at,
        slots=slots,
    )


def _next_slots(entry: Entry, after: datetime, count: int) -> list[datetime]:
    slots: list[datetime] = []
    for _ in range(count):
        slots.append(entry.next_slot(slots[-1] if slots else after))
    return slots


def known(session: Session) -> Sequence[str]:
    """Return the names of all entries."""
    return session.scalars(select(ScheduleEntry.name).order_by(ScheduleEntry.name)).all()


def _row(session: Session, name: str) -> ScheduleEntry:
    row = session.scalar(select(ScheduleEntry).where(ScheduleEntry.name == name).with_for_update())
    if row is None:
        raise _unknown(session, name)
    return row


def _unknown(session: Session, name: str) -> UnknownName:
    return UnknownName("schedule entry", name, known(session) or ("none yet: beat reads the file when it starts",))


def _checked(session: Session, name: str, fields: Mapping[str, Any], names: Names) -> Entry:
    """Return the whole entry these fields make, and see that it waits for one that is there and not for itself."""
    entry = read_entry(name, fields, lanes=names.lanes, tasks=names.tasks)
    others = {row.name: effective(row.spec, row.edits) or {} for row in session.scalars(select(ScheduleEntry))}
    waits_for, seen = entry.spec.after, [name]
    while waits_for is not None:
        if waits_for in seen:
            raise FixRequest(f"schedule entry {name!r} would wait for itself: {' after '.join([*seen, waits_for])}")
        if waits_for not in others:
            raise UnknownName("schedule entry", waits_for, sorted(others))
        seen.append(waits_for)
        waits_for = others[waits_for].get("after")
    return entry
