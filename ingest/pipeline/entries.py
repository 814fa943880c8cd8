"""Schedule entries as data: what one may say, the cadence it means, and how an operator's edits lie on the file's word.

Deliberately not here: the table they stand in (schedule_edits) and what their slots become (schedule). Invariant: an
`Entry` that exists is whole: its cadence has slots, its provider has what it asks for, its lane exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ingest import providers
from ingest.errors import FixRequest, UnknownName
from ingest.pipeline.calls import WITHOUT_HISTORY, check_call

NextSlot = Callable[[datetime], datetime]

FETCH_PREFIX = "tasks.fetch."
#: A mark among an operator's edits: the file's entry is not to run, whatever it says.
REMOVED = "removed"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
#: A look costs about a millisecond: entries faster than this would be all that beat does.
SHORTEST_PERIOD_S = 0.1
_ACCEPTED = "a period like 30s, 5m or 1d, or cron's five fields like '15 6 * * 1-5'"


class EntrySpec(BaseModel):
    """What an entry says. Field names are those of `options.headers.tickfarm` in beat_schedule.py and of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    #: a period, or cron's five fields; nobody needs more of them
    schedule: str = Field(max_length=200)
    #: of cron's fields; a slot is a moment in UTC in any case
    timezone: str = "UTC"
    #: moves a period's grid, so that many entries don't fall due together
    offset: str = "0s"
    kwargs: dict[str, Any] = {}
    lane: str = "standard"
    priority: int = Field(default=3, ge=1, le=5)
    enabled: bool = True
    #: a job nobody began so long after its slot is dropped
    expires_s: float | None = Field(default=None, gt=0)
    timeout_s: float | None = Field(default=None, gt=0, le=60)
    retries: int | None = Field(default=None, ge=0, le=20)
    #: requests a minute that all its jobs may send together
    per_minute: int | None = Field(default=None, ge=1)
    #: its slots wait for this entry's run of the same slot or an earlier one
    after: str | None = None
    #: whether a slot is owed while the run before it is at work
    overlap: bool = False
    #: missed slots: none, the newest, or all up to `catch_up_limit` of them
    catch_up: Literal["skip", "latest", "all"] = "latest"
    catch_up_limit: int = Field(default=10, ge=1, le=1_000)
    #: asks for `[slot - window, slot)` in place of the newest rows
    window: str | None = None

    @field_validator("schedule", "offset", "window")
    @classmethod
    def _stripped(cls, value: str | None) -> str | None:
        return None if value is None else " ".join(value.split())

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        _zone(value)
        return value

    @model_validator(mode="after")
    def _has_slots(self) -> EntrySpec:
        next_slot(self)(_EPOCH)
        if self.window is not None:
            duration_s(self.window)
        return self


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that can run. `next_slot(t)` is its first slot after `t`."""

    name: str
    spec: EntrySpec
    next_slot: NextSlot

    @property
    def provider(self) -> str | None:
        """Return the provider it fetches from; None where its task is no fetch."""
        name = self.spec.task.removeprefix(FETCH_PREFIX)
        return None if name == self.spec.task else name


def effective(spec: Mapping[str, Any] | None, edits: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields that count: the file's, with the operator's on top; None for an entry that is not to run."""
    fields = {**(spec or {}), **edits}
    if fields.pop(REMOVED, False) or "task" not in fields:
        return None
    return fields


def read_entry(
    name: str, fields: Mapping[str, Any], *, lanes: Collection[str], tasks: Collection[str] | None = None
) -> Entry:
    """Return the entry these fields make. Raises FixRequest that names it, the field and what is accepted.

    `tasks` are the names of all tasks there are, where the caller knows them.
    """
    try:
        spec = EntrySpec(**fields)
        if spec.lane not in lanes:
            raise UnknownName("lane", spec.lane, lanes)
        if tasks is not None and spec.task not in tasks:
            raise UnknownName("task", spec.task, sorted(one for one in tasks if not one.startswith("celery.")))
        _check_call(spec)
    except ValidationError as error:
        raise FixRequest(f"schedule entry {name!r}: {'; '.join(map(_said, error.errors()))}") from None
    except FixRequest as error:
        raise FixRequest(f"schedule entry {name!r}: {error}") from error
    return Entry(name, spec, next_slot(spec))


def _check_call(spec: EntrySpec) -> None:
    """Check a fetch's arguments as the task itself will, or every slot would end as a dead letter."""
    provider = spec.task.removeprefix(FETCH_PREFIX)
    if provider == spec.task:
        return
    call = check_call(providers.get(provider).facts, spec.kwargs)
    if spec.window is not None and (call.start is not None or call.dataset in WITHOUT_HISTORY):
        raise FixRequest(f"a window is for bars and trades without a start of their own, not for {call.dataset}")


def _said(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"unknown field {field!r}; accepted: {', '.join(EntrySpec.model_fields)}"
    return f"{field}: {message}" if field else message


def next_slot(spec: EntrySpec) -> NextSlot:
    """Return what finds the next slot of the entry's cadence. Raises ValueError saying what is accepted."""
    if _DURATION.fullmatch(spec.schedule):
        period_s = duration_s(spec.schedule)
        if period_s < SHORTEST_PERIOD_S:
            raise ValueError(f"a period must be at least {SHORTEST_PERIOD_S:g} s, given: {spec.schedule!r}")
        return every(period_s, offset_s=duration_s(spec.offset))
    return _cron(spec.schedule, _zone(spec.timezone))


def every(period_s: float, *, offset_s: float = 0.0) -> NextSlot:
    """Return the `next_slot` of a fixed period: its slots are the multiples of it since 1970, moved by the offset."""
    period, first = timedelta(seconds=period_s), _EPOCH + timedelta(seconds=offset_s)
    if period <= timedelta(0):
        raise ValueError(f"a period must be longer than nothing, given: {period_s}")

    def next_slot(after: datetime) -> datetime:
        return first + ((after - first) // period + 1) * period

    return next_slot


def _cron(expression: str, zone: tzinfo) -> NextSlot:
    """Return the `next_slot` of a cron expression, which keeps a zone's wall-clock time.

    Around changes of the clock as Debian's cron does: a slot in a skipped hour comes right after it, one in a repeated
    hour comes once.
    """

    def next_slot(after: datetime) -> datetime:
        for slot in CronSim(expression, after.astimezone(zone)):
            moment = slot.astimezone(UTC)
            if moment > after:  # the first of two hours of the same name may lie behind us
                return moment
        raise ValueError(f"no moment in fifty years fits {expression!r}")

    if len(expression.split()) != len(("minute", "hour", "day of month", "month", "day of week")):
        raise ValueError(f"expected {_ACCEPTED}, given: {expression!r}")
    try:
        next_slot(_EPOCH)
    except CronSimError as error:
        raise ValueError(f"{error} in {expression!r}; expected {_ACCEPTED}") from error
    return next_slot


def duration_s(text: str) -> float:
    """Return the seconds a text like `30s`, `0.5s`, `5m` or `1d` means. Raises ValueError saying what is accepted."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a time like 500ms, 30s, 5m, 6h or 1d, given: {text!r}")
    return float(found[1]) * _UNITS_S[found[2]]


def duration_text(seconds: float) -> str:
    """Return the text that `duration_s` reads as these seconds."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def in_words(spec: EntrySpec) -> str:
    """Return the cadence for people: `every 30s`, `At 06:15 (Europe/London)`."""
    if _DURATION.fullmatch(spec.schedule):
        return f"every {spec.schedule}"
    words = CronSim(spec.schedule, _EPOCH).explain()
    return words if spec.timezone == "UTC" else f"{words} ({spec.timezone})"


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"expected a time zone like UTC or America/New_York, given: {name!r}") from error
