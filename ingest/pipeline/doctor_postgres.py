"""What the doctor asks of PostgreSQL: version, schema, partitions, clock, connections, leader, jobs, letters, keys.

Deliberately not here: mending anything. The session is read-only by the server's own word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from ingest import providers
from ingest.pipeline.credentials import credential_list, evidence
from ingest.pipeline.doctor_check import ANSWER_WITHIN_S, Check, State, Told, first_line, fullness, skew
from ingest.pipeline.health_figures import leadership
from ingest.settings import Settings
from models import DeadLetter, Job
from models.migrate import head, revision_of
from models.partitions import PARTITIONED, partitions_between

WANTED_VERSION: Final = 18
#: A due job of a lane waits no longer while all is well. History waits for its turn, however long that is.
LATE_AFTER: Final[Mapping[str, timedelta]] = {
    "live": timedelta(minutes=1),
    "standard": timedelta(minutes=15),
    "maintenance": timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class _Patient:
    session: Session
    config: Settings
    clock: Callable[[], datetime]


def checks(config: Settings, url: str, clock: Callable[[], datetime]) -> list[Check]:
    """Return every check of PostgreSQL; all but the first are skipped where it can't be reached."""
    try:
        engine = create_engine(
            url,
            connect_args={
                "options": f"-c default_transaction_read_only=on -c statement_timeout={ANSWER_WITHIN_S}s"
                " -c timezone=UTC",
                "application_name": "tickfarm doctor",
                "connect_timeout": ANSWER_WITHIN_S,
            },
            poolclass=NullPool,
            hide_parameters=True,
        )
        with closing(Session(engine)) as session:
            first = _version(session)
            patient = _Patient(session, config, clock)
            return [first.named("PostgreSQL"), *(_ask(name, patient) for name in CHECKS)]
    except SQLAlchemyError as error:
        mend = "start it, or mend DATABASE_URL; `tickfarm config show` says where that is set"
        broken = Told("fail", f"it can't be reached: {first_line(error)}", mend)
        rest = [Check(name, "skip", "PostgreSQL can't be asked") for name in CHECKS]
        return [broken.named("PostgreSQL"), *rest]


def _ask(name: str, patient: _Patient) -> Check:
    """Make a check. One that the schema is too old or too new for is skipped: the schema has a check of its own."""
    try:
        return CHECKS[name](patient).named(name)
    except SQLAlchemyError as error:
        patient.session.rollback()
        return Check(name, "skip", f"PostgreSQL can't say: {first_line(error)}")


def _version(session: Session) -> Told:
    number = int(session.scalar(text("SHOW server_version_num")) or 0)
    state: State = "pass" if number // 10_000 >= WANTED_VERSION else "fail"
    mend = f"move to PostgreSQL {WANTED_VERSION} with pg_dump and pg_restore: docs/operations.md"
    return Told(state, f"version {number // 10_000}.{number % 10_000}", mend)


def _schema(patient: _Patient) -> Told:
    found, wanted = revision_of(patient.session.connection()), head()
    if found == wanted:
        return Told("pass", f"migration {found}, the newest")
    seen = f"migration {found}, and this version's is {wanted}" if found else "no tables of ours"
    if found is not None and found > wanted:
        return Told("fail", seen, "upgrade this farm: its database was migrated by a newer version")
    return Told("fail", seen, "tickfarm migrate")


def _partitions(patient: _Patient) -> Told:
    now = patient.clock()
    last = now + timedelta(days=1)
    wanted = {name for table in PARTITIONED for name, _, _ in partitions_between(table, now, last)}
    query = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relname = ANY(:names)"
    missing = sorted(wanted - set(patient.session.scalars(text(query), {"names": list(wanted)})))
    if not missing:
        return Told("pass", "those of today and tomorrow are there")
    mend = "the leader makes them: tickfarm up, or celery -A tasks beat --loglevel=INFO"
    return Told("fail", f"missing of today and tomorrow: {', '.join(missing)}", mend)


def _clock(patient: _Patient) -> Told:
    def ask() -> datetime:
        theirs: datetime = patient.session.execute(text("SELECT clock_timestamp()")).scalar_one()
        return theirs.astimezone(UTC)

    return skew(ask, patient.clock)


def _connections(patient: _Patient) -> Told:
    query = """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    """
    used, most = patient.session.execute(text(query)).one()
    mend = "psql -c 'ALTER SYSTEM SET max_connections = 200' and a restart of it, or fewer children (worker -c)"
    return fullness(used, most, "connections", mend)


def _leader(patient: _Patient) -> Told:
    leads, since = leadership(patient.session)
    if leads:
        return Told("pass", "one leads" + (f" since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""))
    return Told("fail", "nobody leads", "tickfarm up, or celery -A tasks beat --loglevel=INFO")


def _due(patient: _Patient) -> Told:
    now = patient.clock()
    waiting = Job.state == "due", Job.due_at <= now
    query = select(Job.lane, func.count(), func.min(Job.due_at)).where(*waiting).group_by(Job.lane).order_by(Job.lane)
    lanes = [(lane, count, now - oldest) for lane, count, oldest in patient.session.execute(query)]
    if not lanes:
        return Told("pass", "none waits")
    seen = "; ".join(f"{lane}: {count:,}, the oldest for {age.total_seconds():,.0f} s" for lane, count, age in lanes)
    late = [lane for lane, _, age in lanes if lane in LATE_AFTER and age > LATE_AFTER[lane]]
    mend = f"tickfarm workers scale {late[0]} 4, or see what holds it: tickfarm health" if late else ""
    return Told("warn" if late else "pass", seen, mend)


def _letters(patient: _Patient) -> Told:
    count = patient.session.scalar(select(func.count()).where(DeadLetter.state == "open")) or 0
    mend = "tickfarm dead ls; mend the cause; tickfarm dead requeue ID, or tickfarm dead discard ID"
    return Told("warn" if count else "pass", f"{count:,} open", mend)


def _keys(patient: _Patient) -> Told:
    every = [providers.get(name).facts for name in providers.names()]
    listed = credential_list(patient.config, every, evidence(patient.session))
    needed = [one for one in listed if one.needed]
    if not needed:
        return Told("pass", "every provider that is followed has what it needs")
    seen = "; ".join(f"{one.provider}: {one.variable} is {one.state}" for one in needed)
    mend = "; ".join(f"set {one.variable} in .env (get one at {one.where_to_get})" for one in needed)
    return Told("fail", seen, mend)


CHECKS: Final[Mapping[str, Callable[[_Patient], Told]]] = {
    "schema": _schema,
    "partitions": _partitions,
    "clock of PostgreSQL": _clock,
    "connections to PostgreSQL": _connections,
    "leader": _leader,
    "due jobs": _due,
    "dead letters": _letters,
    "keys": _keys,
}
