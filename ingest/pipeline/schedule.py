"""The schedule at work: entries, how far each has got, and the runs and jobs their slots become.

Deliberately not here: what an entry may say (entries), who changes one (schedule_edits), the loop (leader). Invariant:
a slot is a point of the cadence's own grid, never "last run plus period", so nothing drifts; it has one run at most,
and its jobs' keys are made from it, so that whoever looks how often owes it once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import bindparam, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ingest.errors import FixRequest
from ingest.pipeline.entries import Entry, duration_s, effective, read_entry
from ingest.pipeline.jobs import NewJob, insert_jobs, relax_commit
from ingest.pipeline.runs import at_work, newest, settle
from models import ScheduleEntry, ScheduleRun, Series

#: Instruments one message carries: enough that Celery's 2 ms a task are spread thin, few enough to finish in seconds.
MESSAGE_INSTRUMENTS = 200
#: With `catch_up: skip` a slot counts as missed when the leader comes this late.
MISSED_AFTER_S = 10.0
#: An entry that waits for another is looked at this often; the other's end wakes the leader sooner.
HELD_LOOK_S = 0.5

#: After a long pause the newest slots are looked for close to now first: a 1 s entry has 600,000 slots a week.
_LOOK_BACKS = (timedelta(minutes=1), timedelta(days=1), timedelta(days=400), timedelta(days=36500))
_FAR = datetime.max.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)

#: provider, dataset, interval: what a poll without instruments asks for
Kind = tuple[str, str, str]


@dataclass(slots=True)
class _State:
    """An entry and how far it has got. `next_at` is when to look at it next."""

    fields: Mapping[str, Any]
    entry: Entry
    last_slot: datetime
    next_at: datetime
    #: outcome and reason last noted without a job: a slot each second with nothing to do is noted once
    noted: tuple[str, str] | None = None


@dataclass(slots=True)
class Owed:
    """What one look at the schedule decided; it counts once it is committed (`Schedule.committed`)."""

    moved: dict[str, datetime] = field(default_factory=dict)
    notes: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    held_until: dict[str, datetime] = field(default_factory=dict)
    runs: list[tuple[Entry, datetime, list[NewJob]]] = field(default_factory=list)


class Schedule:
    """The entries as they stand in the table. `lanes` are those there are; `off` are providers nobody is to ask."""

    def __init__(self, lanes: Collection[str], *, off: Collection[str] = ()) -> None:
        self._lanes = lanes
        self._off = off
        self._states: dict[str, _State] = {}
        self._version: tuple[Any, ...] | None = None

    def forget(self) -> None:
        """Read the table again at the next look: somebody else may have led meanwhile."""
        self._version = None

    def refresh(self, session: Session) -> None:
        """Read the table if an entry changed since it was read last. One small query when none did."""
        # A sum, because of two changes the earlier one may be committed later.
        changes = func.sum(func.extract("epoch", ScheduleEntry.changed_at))
        version = tuple(session.execute(select(func.count(), changes)).one())
        if version == self._version:
            return
        before, self._states = self._states, {}
        for row in session.scalars(select(ScheduleEntry).order_by(ScheduleEntry.name)):
            state = self._read(row, before.get(row.name) if self._version is not None else None)
            if state is not None:
                self._states[row.name] = state
        for name in _stuck({name: state.entry.spec.after for name, state in self._states.items()}):
            log.error("schedule_entry_refused", entry=name, error="it waits for an entry that is not there, or itself")
            del self._states[name]
        self._version = version
        log.info("schedule_read", entries=len(self._states))

    def _read(self, row: ScheduleEntry, known: _State | None) -> _State | None:
        fields = effective(row.spec, row.edits)
        if fields is None or not fields.get("enabled", True):
            return None
        if known is not None and known.fields == fields:
            return replace(known, last_slot=row.last_slot, next_at=known.entry.next_slot(row.last_slot))
        try:
            entry = read_entry(row.name, fields, lanes=self._lanes)
        except FixRequest as error:
            log.error("schedule_entry_refused", entry=row.name, error=str(error))
            return None
        if entry.provider in self._off:
            return None
        return _State(fields, entry, row.last_slot, entry.next_slot(row.last_slot))

    @property
    def next_at(self) -> datetime:
        """Return when the next entry is to be looked at."""
        return min((state.next_at for state in self._states.values()), default=_FAR)

    def owe(self, session: Session, now: datetime) -> Owed:
        """Insert the runs and jobs of every slot that came due at `now`; what that means for later is returned."""
        owed = Owed()
        due = [state for state in self._states.values() if state.next_at <= now]
        if not due:
            return owed
        relax_commit(session)
        busy = at_work(session, [state.entry.name for state in due if not state.entry.spec.overlap])
        followed = _followed(session, due)
        for state in _in_order(due):
            self._owe_entry(session, state, now, owed=owed, busy=busy, followed=followed)
        _insert(session, owed.runs)
        steps = [{"entry": name, "slot": slot} for name, slot in sorted(owed.moved.items())]
        if steps:
            moved = update(ScheduleEntry).where(ScheduleEntry.name == bindparam("entry"))
            session.connection().execute(moved.values(last_slot=bindparam("slot")), steps)
        return owed

    def _owe_entry(
        self,
        session: Session,
        state: _State,
        now: datetime,
        *,
        owed: Owed,
        busy: Mapping[str, datetime],
        followed: Mapping[Kind, Sequence[str]],
    ) -> None:
        entry = state.entry
        newest, slots = due_slots(entry, state.last_slot, now)
        if newest is None:
            return
        if slots and entry.spec.after is not None:
            held, failed = self._waits(session, entry.spec.after, slots[-1], owed)
            if held:
                owed.held_until[entry.name] = now + timedelta(seconds=HELD_LOOK_S)
                return
            if failed is not None:
                owed.notes[entry.name] = ("skipped", failed)
                slots = []
        owed.moved[entry.name] = newest
        if slots and entry.name in busy:
            owed.notes[entry.name] = ("skipped", f"the run of {busy[entry.name].isoformat()} was still at work")
            slots = []
        for slot in slots:
            jobs = jobs_of(entry, slot, followed)
            if jobs:
                owed.runs.append((entry, slot, jobs))
                owed.notes[entry.name] = None
            else:
                owed.notes[entry.name] = ("nothing", "nothing of this kind is followed")
        note = owed.notes.get(entry.name)
        if note is not None and note[0] != (state.noted or ("",))[0]:
            _note(session, entry.name, newest, note)

    def _waits(self, session: Session, name: str, slot: datetime, owed: Owed) -> tuple[bool, str | None]:
        """Say whether an entry's slot must wait for another entry, and why it is not to run after that one."""
        if any(entry.name == name and other <= slot for entry, other, _ in owed.runs) or name in owed.held_until:
            return True, None
        settle(session, [name])
        run = newest(session, [name], until=slot).get(name)
        if run is None or run.outcome in ("ok", "nothing", "skipped"):
            return False, None
        if run.outcome is None:
            return True, None
        return False, f"{name} {run.outcome} at {run.slot.isoformat()}"

    def committed(self, owed: Owed) -> None:
        """Take over what a look decided, now that it is committed."""
        for name, slot in owed.moved.items():
            state = self._states[name]
            state.last_slot, state.next_at = slot, state.entry.next_slot(slot)
        for name, moment in owed.held_until.items():
            self._states[name].next_at = moment
        for name, note in owed.notes.items():
            self._states[name].noted = note


def due_slots(entry: Entry, after: datetime, now: datetime) -> tuple[datetime | None, list[datetime]]:
    """Return the newest slot in `(after, now]`, and those of them that are to be owed by the entry's policy, ascending.

    The newest of several missed slots is enough for a poll, which asks for what is now; `all` is for entries with a
    window, whose slots ask for different things.
    """
    spec = entry.spec
    slots = _newest_slots(entry, after, now, spec.catch_up_limit if spec.catch_up == "all" else 1)
    if not slots:
        return None, []
    is_late = now - slots[-1] > timedelta(seconds=MISSED_AFTER_S)
    return slots[-1], [] if spec.catch_up == "skip" and is_late else slots


def _newest_slots(entry: Entry, after: datetime, now: datetime, count: int) -> list[datetime]:
    for look_back in _LOOK_BACKS:
        start = max(after, now - look_back)
        slots: deque[datetime] = deque(maxlen=count)
        slot = entry.next_slot(start)
        while slot <= now:
            slots.append(slot)
            slot = entry.next_slot(slot)
        if len(slots) == count or start == after:
            return list(slots)
    return list(slots)


def jobs_of(
    entry: Entry, slot: datetime, followed: Mapping[Kind, Sequence[str]], *, prefix: str = "slot"
) -> list[NewJob]:
    """Return the jobs a slot is owed as: one, or for a fetch without instruments one per batch of followed series."""
    spec, stamp = entry.spec, slot.isoformat()
    window = {} if spec.window is None else {"start": (slot - timedelta(seconds=duration_s(spec.window))).isoformat()}
    window |= {"end": stamp} if window else {}
    options = {name: value for name in _OPTIONS if (value := getattr(spec, name)) is not None}

    def job(suffix: str, kwargs: Mapping[str, Any]) -> NewJob:
        return NewJob(
            key=f"{prefix}:{entry.name}:{stamp}{suffix}",
            task=spec.task,
            lane=spec.lane,
            kwargs={**kwargs, **window},
            due_at=slot,
            priority=spec.priority,
            expires_at=slot + timedelta(seconds=spec.expires_s) if spec.expires_s is not None else None,
            entry=entry.name,
            options=options or None,
        )

    kind = kind_of(entry)
    if kind is None:
        return [job("", spec.kwargs)]
    names = followed.get(kind, ())
    return [
        job(f":{at}", {**spec.kwargs, "instruments": list(names[at : at + MESSAGE_INSTRUMENTS])})
        for at in range(0, len(names), MESSAGE_INSTRUMENTS)
    ]


#: what of an entry travels with each of its jobs (jobs.JobOptions)
_OPTIONS = ("timeout_s", "retries", "per_minute")


def kind_of(entry: Entry) -> Kind | None:
    """Return what an entry that names no instruments polls for; None for any other entry."""
    kwargs = entry.spec.kwargs
    if entry.provider is None or kwargs.get("instruments"):
        return None
    return entry.provider, str(kwargs.get("dataset")), str(kwargs.get("interval") or "")


def followed_of(session: Session, kinds: Collection[Kind]) -> dict[Kind, list[str]]:
    """Return the followed instruments of each kind, sorted, without those the provider refuses. One query for all."""
    if not kinds:
        return {}
    columns = (Series.provider, Series.dataset, Series.interval)
    query = (
        select(*columns, func.array_agg(Series.instrument))
        .where(tuple_(*columns).in_(sorted(kinds)), Series.followed, Series.refused.is_(None))
        .group_by(*columns)
    )
    return {
        (provider, dataset, interval): sorted(names) for provider, dataset, interval, names in session.execute(query)
    }


def _followed(session: Session, due: Iterable[_State]) -> dict[Kind, list[str]]:
    kinds = {kind for state in due if (kind := kind_of(state.entry)) is not None}
    return followed_of(session, kinds)


def _insert(session: Session, runs: Sequence[tuple[Entry, datetime, list[NewJob]]]) -> None:
    """Insert the runs that are not there yet, with their jobs."""
    if not runs:
        return
    rows = [{"entry": entry.name, "slot": slot, "jobs": len(jobs)} for entry, slot, jobs in runs]
    made = insert(ScheduleRun).on_conflict_do_nothing().returning(ScheduleRun.entry, ScheduleRun.slot, ScheduleRun.id)
    ids = {(name, slot): number for name, slot, number in session.execute(made, rows)}
    owed = [
        replace(job, run_id=ids[entry.name, slot])
        for entry, slot, jobs in runs
        if (entry.name, slot) in ids
        for job in jobs
    ]
    insert_jobs(session, owed)


def _note(session: Session, name: str, slot: datetime, note: tuple[str, str]) -> None:
    """Note a slot that was owed as no job, and why."""
    outcome, reason = note
    row = {"entry": name, "slot": slot, "outcome": outcome, "reason": reason, "finished_at": func.now()}
    session.execute(insert(ScheduleRun).values(row).on_conflict_do_nothing())


def _in_order(states: Iterable[_State]) -> list[_State]:
    """Return the states so that an entry comes after the one it waits for."""
    waiting = {state.entry.name: state for state in states}
    ordered: list[_State] = []
    while waiting:
        ready = [state for state in waiting.values() if state.entry.spec.after not in waiting]
        ordered += ready
        for state in ready:
            del waiting[state.entry.name]
    return ordered


def _stuck(after: Mapping[str, str | None]) -> set[str]:
    """Return the entries that can never run: those that wait for one that is not there, or in a circle."""
    free: set[str] = set()
    while True:
        more = {name for name, other in after.items() if name not in free and (other is None or other in free)}
        if not more:
            return set(after) - free
        free |= more
