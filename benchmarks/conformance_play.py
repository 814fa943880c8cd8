"""The conformance grid's cells, and how one is played: sandbox -> client -> pipeline -> PostgreSQL, without Celery.

Deliberately not here: servers and the sandbox's process (conformance.py, tests/conformance). Invariant: what a cell
must come to is said by the sandbox's dialect, an independent reading of the documentation, never by our parsers.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import import_module
from typing import Any

from sqlalchemy import text

from benchmarks.fault_sandbox import SandboxControl
from ingest import providers
from ingest.errors import TickfarmError
from ingest.market.records import DATE_COLUMNS, LEVEL_COLUMNS, NAME_LISTS, TEXT_COLUMNS
from ingest.pipeline import jobs
from ingest.pipeline.claims import Claim
from ingest.pipeline.context import Context
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.fetch import fetch
from ingest.pipeline.jobs import NewJob
from ingest.pipeline.store import store
from models.upsert import table_of
from sandbox.contract import Conforming, ErrorCase, Example, placed

SEED = 7
#: What the sandbox takes for a key; a wrong one is told from it and from real ones.
KEY = "sandbox-key"
#: Past every wait that a provider can ask for, the end of a month too.
LATER = timedelta(days=40)
_LANE = "standard"
_MOST_ROUNDS = 60
#: Where each decision must leave the job, while the fault is there.
_ENDS: Mapping[str, tuple[str, ...]] = {
    "again": ("due", "done"),  # one that is tried again at once may be done
    "wait": ("due", "done"),
    "quota": ("due", "done"),
    "key": ("due", "dead"),
    "plan": ("due", "dead", "done"),  # known not to be entitled, a part may be done without
    "request": ("dead", "done"),
    "unknown": ("dead", "done"),
    "nothing": ("done",),
}
#: After these the provider answers again, and nothing may be missing.
_PASSING = ("again", "wait", "quota")


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the grid: an example that must be copied, or one of the provider's errors."""

    provider: str
    what: str
    example: Example
    case: ErrorCase | None = None

    @property
    def name(self) -> str:
        """Return what tells it from others."""
        return f"{self.provider}: {self.what}"


@dataclass(frozen=True, slots=True)
class Result:
    """How a cell went: rows that were compared, and what is wrong with them, nothing where it is green."""

    cell: Cell
    rows: int
    wrong: Sequence[str]


@cache
def dialect_of(provider: str) -> Any:
    """Return the provider's dialect, of the sandbox's own seed; what it says of itself changes with no question."""
    return import_module(f"sandbox.dialects.{provider}").open_dialect(SEED)


def cells() -> list[Cell]:
    """Return every cell of every provider whose dialect conforms."""
    found = []
    for name in providers.names():
        dialect = dialect_of(name)
        if isinstance(dialect, Conforming):
            found += [Cell(name, f"{what(one)} copied", one) for one in dialect.examples()]
            found += [Cell(name, f"error: {case.name}", case.example, case) for case in dialect.error_cases()]
    return found


def what(example: Example) -> str:
    """Return an example in words."""
    stretch = f" {example.start} .. {example.end}" if example.start else " (poll)"
    return f"{example.dataset} {example.instrument}{f' {example.interval}' if example.interval else ''}{stretch}"


def play(cell: Cell, context: Context, sandbox: SandboxControl, empty: Callable[[], None]) -> Result:
    """Play a cell in an emptied farm."""
    empty()
    sandbox.clear()
    sandbox.no_limits(cell.provider)  # what other cells have spent is forgotten
    example = placed(cell.example, datetime.now(UTC).timestamp())
    ground = Ground(context, cell.provider, example)
    wrong = list(_error(cell, cell.case, ground, sandbox) if cell.case else _copy(ground, sandbox))
    leaks = ground.leaks()
    return Result(cell, ground.stored(), [*wrong, *(f"the key stands in {place}" for place in leaks)])


def _copy(ground: Ground, sandbox: SandboxControl) -> Iterator[str]:
    ground.owe()
    ground.run_all(sandbox)
    yield from ground.trouble()
    yield from ground.differences()


def _error(cell: Cell, case: ErrorCase, ground: Ground, sandbox: SandboxControl) -> Iterator[str]:
    if case.fault:
        sandbox.arm_document({"provider": cell.provider, **case.fault})
    key = providers.get(cell.provider).facts.key
    with _in_environment(key.env if key else None, case.key):
        ground.owe()
        ground.run_round()
        state = ground.state()
    if state not in _ENDS[case.decision]:
        yield f"left the job {state}, where {case.decision} must leave it {' or '.join(_ENDS[case.decision])}"
    if case.decision in ("key", "plan", "request", "unknown", "nothing"):
        if ground.stored() and not ground.answered():
            yield f"stored {ground.stored()} rows all the same"
        if case.decision not in ("nothing", "plan") and not ground.told():
            yield "reported nothing"
        return
    sandbox.clear()
    ground.run_all(sandbox)
    yield from ground.differences()


class Ground:
    """One example in one farm: what is owed, run, stored, and how that differs from what it must be."""

    def __init__(self, context: Context, provider: str, example: Example) -> None:
        self._context, self._provider, self._example = context, provider, example
        self._dialect = dialect_of(provider)

    def owe(self) -> None:
        """Owe the example's fetch."""
        example = self._example
        kwargs: dict[str, Any] = {"dataset": example.dataset, "instruments": [example.instrument]}
        kwargs |= {"interval": example.interval} if example.interval else {}
        kwargs |= {"start": example.start, "end": example.end} if example.start else {}
        job = NewJob(f"conformance:{self._provider}", f"{FETCH_PREFIX}{self._provider}", _LANE, kwargs, _now())
        with self._context.sessions.begin() as session:
            jobs.insert_jobs(session, [job])

    def run_round(self) -> int:
        """Run what is due now; return how many jobs that were."""
        return _run(self._context, self._provider, _LANE, _now())

    def run_all(self, sandbox: SandboxControl) -> None:
        """Run until nothing is due any more, whatever was asked to be waited for."""
        run_due(self._context, sandbox, self._provider, lane=_LANE)

    def state(self) -> str:
        """Return the state of the fetch that was owed; of what is left of it, where that is a job of its own."""
        found = [row[0] for row in self._select("SELECT state FROM jobs ORDER BY id")]
        return "due" if "due" in found else "dead" if "dead" in found else found[0]

    def answered(self) -> bool:
        """Say whether a part of the fetch brought a good answer: then there are rows, whatever became of the rest."""
        return bool(self._select("SELECT sum(requests - failed) FROM fetch_log")[0][0])

    def stored(self) -> int:
        """Return how many rows are stored."""
        return int(self._select(f"SELECT count(*) FROM {self._example.dataset}")[0][0])

    def told(self) -> bool:
        """Say whether somebody was told: a dead letter, a finding, a refused series, a hold."""
        asked = (
            "SELECT (SELECT count(*) FROM dead_letters) + (SELECT count(*) FROM findings)"
            " + (SELECT count(*) FROM series WHERE refused IS NOT NULL) + (SELECT count(*) FROM provider_holds)"
            " + (SELECT count(*) FROM jobs WHERE error IS NOT NULL)"
        )
        return bool(self._select(asked)[0][0])

    def trouble(self) -> Iterator[str]:
        """Yield what a plain copy must not leave behind: jobs that are not done, dead letters, rejected rows."""
        for state, error in self._select("SELECT state, error FROM jobs WHERE state <> 'done'"):
            yield f"left a job {state}: {error}"
        for (error,) in self._select("SELECT error FROM dead_letters"):
            yield f"left a dead letter: {error}"
        for rule, rows in self._select("SELECT rule, sum(rows) FROM findings WHERE severity = 'reject' GROUP BY 1"):
            yield f"{rows} rows rejected by {rule}"

    def differences(self) -> Iterator[str]:
        """Yield how the stored rows differ from those that a whole copy holds."""
        kept = self._rows()
        names = sorted({name for row in kept for name in row})
        best: list[str] | None = None
        for now_s in self._moments():
            expected = _without_receipt(self._dialect.rows(self._example, now_s=now_s), now_s)
            found = list(compared(expected, kept, names))
            if not found:
                return
            best = found if best is None or len(found) < len(best) else best
        yield from (best or ["nothing was asked"])[:5]

    def _moments(self) -> list[float]:
        """Return what the provider's clock may have shown: each millisecond between question and answer, for a poll."""
        asked = self._select("SELECT min(observed_at), max(observed_at) FROM " + self._example.dataset)[0]
        if asked[0] is None:
            return [_now().timestamp()]
        if self._example.start:
            return [asked[1].timestamp()]
        first = int(asked[0].timestamp() * 1000)
        return [(first + ms) / 1000 for ms in range(200)]

    def _rows(self) -> list[dict[str, str | None]]:
        table = table_of(self._example.dataset)
        names = [one for one in table.c.keys() if one not in ("series_id", "observed_at", "job_id", "is_final")]  # noqa: SIM118
        columns = ", ".join(_as_text(name) for name in names)
        key = ", ".join(name for name in table.primary_key.columns.keys() if name not in ("series_id", "ts"))  # noqa: SIM118
        order = f"ts{f', {key}' if key else ''}"
        return [
            dict(zip(names, row, strict=True))
            for row in self._select(f"SELECT {columns} FROM {table.name} ORDER BY {order}")
        ]

    def leaks(self) -> list[str]:
        """Return the tables and Redis keys in which the key stands."""
        found = []
        for table in (
            "jobs",
            "fetch_log",
            "findings",
            "dead_letters",
            "provider_events",
            "provider_holds",
            "revisions",
        ):
            if self._select(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%{KEY}%'")[0][0]:
                found.append(table)
        for key in self._context.redis.keys("*"):
            kind = self._context.redis.type(key)
            if kind == b"string" and KEY.encode() in (self._context.redis.get(key) or b""):
                found.append(str(key))
        return found

    def _select(self, sql: str) -> list[Any]:
        with self._context.sessions() as session:
            return [tuple(row) for row in session.execute(text(sql))]


def run_due(context: Context, sandbox: SandboxControl, provider: str, *, lane: str) -> None:
    """Run a provider's jobs of a lane until nothing is due any more, whatever was asked to be waited for."""
    for _ in range(_MOST_ROUNDS):
        _forget_waits(context)
        sandbox.no_limits(provider)  # what was spent is forgotten
        if not _run(context, provider, lane, _now() + LATER):
            return


def _run(context: Context, provider: str, lane: str, until: datetime) -> int:
    claim = Claim(f"{FETCH_PREFIX}{provider}", 100)
    with context.sessions.begin() as session:
        leased = jobs.lease_due(session, lane, [claim], limit=100, now=until)
    for one in leased:
        with context.sessions.begin() as session:
            job = jobs.start(session, one.id, one.attempt)
        try:
            if fetch(context, provider, job).state == "fetched":
                store(context, job.id, job.attempt)
        except TickfarmError as error:  # as the shell does with a call that can't work
            with context.sessions.begin() as session:
                jobs.bury(session, job.id, job.attempt, f"{type(error).__name__}: {error}")
    return len(leased)


def _forget_waits(context: Context) -> None:
    for key in context.redis.keys("tickfarm:gate:*"):
        context.redis.delete(key)
    for key in context.redis.keys("tickfarm:pool:*"):
        context.redis.hdel(key, "hold", "why")
    with context.sessions.begin() as session:
        session.execute(text("DELETE FROM provider_holds"))


def _without_receipt(rows: list[dict[str, Any]], now_s: float) -> list[dict[str, Any]]:
    """Return the rows without their time where that is the moment of asking: ours then is when the answer was here."""
    moment = datetime.fromtimestamp(round(now_s, 3), UTC).isoformat()
    is_receipt = {_plain("ts", row.get("ts")) for row in rows} == {moment}
    return [{name: value for name, value in row.items() if name != "ts"} for row in rows] if is_receipt else rows


def compared(
    expected: Sequence[Mapping[str, Any]], kept: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Iterator[str]:
    """Yield what differs. A column the dialect says nothing of is not compared, nor is a time that is the receipt's."""
    given = [name for name in names if any(name in row for row in expected)]
    if len(expected) != len(kept):
        yield f"{len(kept)} rows, of {len(expected)}"
    want = Counter(_form(row, given) for row in expected)
    have = Counter(_form(row, given) for row in kept)
    for said, left in (("missing or different", want - have), ("not in the source", have - want)):
        if left:
            yield f"{said}: {dict(zip(given, min(left), strict=True))}"


def _form(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_plain(name, row.get(name)) for name in names)


def _plain(name: str, value: Any) -> str:
    """Return a value in one form, whoever wrote it: numbers without trailing zeros, moments in UTC."""
    if value is None or (name in NAME_LISTS and value == ""):
        return ""
    if name == "ts":
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    if name == "sentiments":
        return json.dumps(json.loads(value), sort_keys=True)
    if name in LEVEL_COLUMNS:
        return ",".join(_number(one) for one in str(value).split(",")) if value else ""
    return str(value) if name in TEXT_COLUMNS | DATE_COLUMNS | NAME_LISTS else _number(str(value))


def _number(value: str) -> str:
    try:
        return format(Decimal(value).normalize(), "f")
    except InvalidOperation:
        return value


def _as_text(name: str) -> str:
    if name == "ts":
        return name
    if name in LEVEL_COLUMNS or name in NAME_LISTS:
        return f"array_to_string({name}, ',') AS {name}"
    return f"{name}::text"


@contextmanager
def _in_environment(variable: str | None, value: str) -> Iterator[None]:
    before = os.environ.get(variable) if variable else None
    if variable and value:
        os.environ[variable] = value
    try:
        yield
    finally:
        if variable and value:
            os.environ.pop(variable)
            os.environ.update({variable: before} if before is not None else {})


def _now() -> datetime:
    return datetime.now(UTC)
