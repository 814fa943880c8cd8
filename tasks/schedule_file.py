"""beat_schedule.py as the farm reads it: ordinary Celery beat entries, turned into the fields of our own.

Deliberately not here: what the fields mean (ingest/pipeline/entries.py). Invariant: a file that can't be read whole
changes nothing; the message names the entry and what is accepted.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery.schedules import BaseSchedule, crontab, maybe_schedule, schedule

from celeryconfig import LANES, LOAD_SUFFIX
from ingest.errors import FixRequest
from ingest.pipeline.entries import duration_text, read_entry
from ingest.settings import CHECKOUT, Settings

Fields = dict[str, Any]


class ScheduleFile:
    """The file, and whether it was saved since it was read last."""

    def __init__(self, config: Settings) -> None:
        self.path = Path(config.tickfarm_schedule_file or CHECKOUT / "beat_schedule.py")
        self._seen: tuple[int, ...] | None = None

    def changed(self) -> bool:
        """Say whether the file is another than at the last call. A file that is gone for a moment is none."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        now = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        before, self._seen = self._seen, now
        return before != now

    def read(self, tasks: Mapping[str, Any]) -> dict[str, Fields]:
        """Return the fields of every entry, by name. Raises FixRequest saying what is wrong and what is accepted."""
        try:
            page = runpy.run_path(str(self.path))["beat_schedule"]
            found = {str(name): fields_of(str(name), spec) for name, spec in page.items()}
        except FixRequest:
            raise
        except Exception as error:  # it is a program: whatever it raises, the schedule that runs goes on
            said = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else repr(error)
            raise FixRequest(f"can't read {self.path.name}: {said}") from error
        for name, fields in found.items():
            read_entry(name, fields, lanes=LANES, tasks=tasks)
            if fields.get("after") is not None and fields["after"] not in found:
                raise FixRequest(f"schedule entry {name!r}: it waits for {fields['after']!r}, which is not there")
        return found


def fields_of(name: str, spec: Mapping[str, Any]) -> Fields:
    """Return a beat entry as our fields. Raises FixRequest naming the entry when it can't be one of ours."""
    unknown = set(spec) - {"task", "schedule", "kwargs", "options"}
    if unknown:
        said = f"{sorted(unknown)} can't be kept by jobs; accepted: task, schedule, kwargs, options"
        raise FixRequest(f"schedule entry {name!r}: {said}")
    options = spec.get("options") or {}
    ours = dict((options.get("headers") or {}).get("tickfarm") or {})
    lane = str(options.get("queue") or "standard").removesuffix(LOAD_SUFFIX)
    fields: Fields = {
        "task": spec.get("task"),
        "schedule": _cadence(name, spec.get("schedule")),
        "kwargs": dict(spec.get("kwargs") or {}),
        "lane": lane,
    }
    expires = options.get("expires")
    if expires is not None:
        fields["expires_s"] = expires.total_seconds() if isinstance(expires, timedelta) else float(expires)
    return fields | ours


def _cadence(name: str, value: Any) -> str:
    """Return Celery's schedule as text. A text is taken as it is, though stock beat knows none."""
    if isinstance(value, str):
        return value
    cadence: BaseSchedule | None = None if value is None else maybe_schedule(value)
    match cadence:
        case crontab():
            return _cron_fields(name, cadence)
        case schedule():
            return duration_text(cadence.run_every.total_seconds())
        case _:
            given = "none" if value is None else type(cadence).__name__
            raise FixRequest(f"schedule entry {name!r}: {given} is not supported; use seconds or crontab")


def _cron_fields(name: str, cron: Any) -> str:
    """Return a crontab as cron's five fields.

    Where both days are restricted Celery wants both to fit and cron wants either, so such a one is refused.
    """
    days, weekdays = str(cron._orig_day_of_month), str(cron._orig_day_of_week)
    if not days.startswith("*") and not weekdays.startswith("*"):
        said = "Celery and cron disagree about a day of the month with a day of the week: give one of them"
        raise FixRequest(f"schedule entry {name!r}: {said}")
    fields = (cron._orig_minute, cron._orig_hour, days, cron._orig_month_of_year, weekdays)
    return " ".join(str(one).replace(" ", "") for one in fields)
