"""The one write path: COPY into the connection's staging table, then one statement that upserts and keeps accounts.

That statement resolves conflicts on the table's key: what is final wins over what is not, then the later observation,
and an equal or older one changes nothing; a trade (article, post, action, observation) seen again as it was changes
nothing either. What a provider has answered wins over what a file says, whichever came first. In the same statement,
old values of final rows become revisions, a bar that says the same as before remembers since when, and the ledger's
days grow by what was really inserted. Rows and ledger days are written in key order, so that concurrent writers can't
deadlock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import IO, Any

import psycopg2
from sqlalchemy import (
    Column,
    Connection,
    Select,
    Table,
    and_,
    case,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy import Date as SqlDate
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.actions import Action
from models.bars import Bar
from models.books import Book
from models.ledger import LedgerDay
from models.news import Article
from models.observations import Observation
from models.posts import Post
from models.quotes import Quote
from models.revisions import Revision
from models.session import Base
from models.trades import Trade

TABLES: dict[str, type[Base]] = {
    "bars": Bar,
    "trades": Trade,
    "quotes": Quote,
    "books": Book,
    "news": Article,
    "observations": Observation,
    "posts": Post,
    "actions": Action,
}
#: What happened once: polls overlap, and rewriting every trade of each page would cost more than storing the new ones.
_ONLY_WHEN_CHANGED = ("trades", "news", "observations", "posts", "actions")
#: A value without a vintage of its own is new only where it differs from the newest that was known by then.
_IS_KNOWN = """
    NOT observations_staging.vintage_given AND EXISTS (
        SELECT FROM observations AS known
        WHERE known.series_id = observations_staging.series_id AND known.ts = observations_staging.ts
            AND known.vintage <= observations_staging.vintage
            AND known.value IS NOT DISTINCT FROM observations_staging.value
            AND NOT EXISTS (
                SELECT FROM observations AS later WHERE later.series_id = known.series_id AND later.ts = known.ts
                    AND later.vintage > known.vintage AND later.vintage <= observations_staging.vintage
            )
    )
"""
#: The `job_id` of rows that came from a file: no job brought them. Those of jobs are above it.
FROM_FILE = -1
#: Columns that say how a row came here, not what it says: a change in them alone is no revision.
_PROVENANCE = ("observed_at", "job_id", "is_final", "known_since")


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: rows inserted, rows updated by a later observation, revisions of final rows kept."""

    inserted: int
    updated: int
    revised: int


def copy_columns(dataset: str) -> tuple[str, ...]:
    """Return the columns that an answer fills, in the order `stage` expects them in the CSV."""
    return tuple(name for name in table_of(dataset).c.keys() if name != "known_since")  # noqa: SIM118


def value_columns(dataset: str) -> list[str]:
    """Return the columns that say what a row is, without its key and how it came here."""
    table = table_of(dataset)
    return [name for name in table.c.keys() if name not in (*table.primary_key.columns.keys(), "ts", *_PROVENANCE)]  # noqa: SIM118


@cache
def row_hash(dataset: str, alias: str) -> str:
    """Return the SQL of a row's hash: of all that it says, `1.10` like `1.1`, and nothing of how it came here."""
    key = [name for name in table_of(dataset).primary_key.columns.keys() if name != "series_id"]  # noqa: SIM118
    columns = dict.fromkeys(("ts", *key, *value_columns(dataset)))
    return f"hash_record_extended(ROW({', '.join(f'{alias}.{name}' for name in columns)}), 0)"


def stage(session: Session, dataset: str, csv: IO[bytes]) -> None:
    """Put the rows of `csv` into the connection's staging table, which the end of the transaction empties.

    Its columns are those of `copy_columns`, no header, an empty unquoted field is NULL.
    """
    connection = session.connection()
    driver = connection.connection.driver_connection
    if driver is None:
        raise RuntimeError("the session's connection is closed")
    for statement in _staging_ddl(dataset):
        session.execute(text(statement))
    _copy(connection, driver, dataset, csv)


def write_staged(session: Session, dataset: str, *, read_anew: bool = False) -> Written:
    """Store what was staged in this transaction.

    `read_anew`: the same answers were read once more, so an observation of the same moment wins too, where it says
    something else; what says the same is left alone.
    """
    inserted, updated, revised = session.execute(_statement(dataset, read_anew=read_anew)).one()
    return Written(inserted, updated, revised)


def _copy(connection: Connection, driver: Any, dataset: str, csv: IO[bytes]) -> None:
    """COPY past SQLAlchemy, but fail as SQLAlchemy does: callers tell by its classes what is worth a retry."""
    statement = f"COPY {staging_name(dataset)} ({', '.join(copy_columns(dataset))}) FROM STDIN (FORMAT csv)"
    try:
        with driver.cursor() as cursor:
            cursor.copy_expert(statement, csv)
    except psycopg2.Error as error:
        wrapped = DBAPIError.instance(statement, None, error, psycopg2.Error, hide_parameters=True)
        raise wrapped from error


def table_of(dataset: str) -> Table:
    """Return the dataset's table."""
    table = TABLES[dataset].__table__
    if not isinstance(table, Table):
        raise TypeError(f"{dataset} is no table")
    return table


def staging_name(dataset: str) -> str:
    """Return the name of the temporary table that its rows are staged in."""
    return f"{dataset}_staging"


@cache
def _staging_ddl(dataset: str) -> tuple[str, ...]:
    """A temporary table per connection: no WAL, no vacuum, empty again at each commit."""
    return (f"CREATE TEMP TABLE IF NOT EXISTS {staging_name(dataset)} (LIKE {dataset}) ON COMMIT DELETE ROWS",)


@cache
def _statement(dataset: str, *, read_anew: bool) -> Select[int, int, int]:
    table = table_of(dataset)
    columns = copy_columns(dataset)
    key = tuple(table.primary_key.columns.keys())
    upsert = insert(table).from_select(columns, _latest_of_each_key(dataset, table))
    changed = " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in _said(dataset))
    was_final = "old.is_final" if "is_final" in columns else str(dataset in _ONLY_WHEN_CHANGED).lower()
    known_since = "coalesce(old.known_since, old.observed_at)" if "known_since" in table.c else "old.observed_at"
    written = (
        upsert.on_conflict_do_update(
            index_elements=key,
            # An article keeps the day under which it is counted, whatever date it is given later.
            set_={name: upsert.excluded[name] for name in columns if name not in (*key, "ts")}
            | _known_since(dataset, table, upsert.excluded),
            where=_wins(dataset, table, upsert.excluded, read_anew=read_anew),
        )
        .returning(
            table.c.series_id,
            table.c.ts,
            table.c.observed_at,
            table.c.job_id,
            literal_column("old.series_id IS NULL").label("is_new"),
            literal_column(_newly_final(columns)).label("final_delta"),
            literal_column(_hash_delta(dataset)).label("hash_delta"),
            literal_column(known_since).label("old_known_since"),
            literal_column(f"CASE WHEN {was_final} AND ({changed}) THEN to_jsonb(old) END").label("old_row"),
        )
        .cte("written")
    )
    return (
        select(
            func.count().filter(written.c.is_new),
            func.count().filter(~written.c.is_new),
            func.count(written.c.old_row),
        )
        .select_from(written)
        .add_cte(_revisions(written), _ledger(written))
    )


def _wins(dataset: str, table: Table, new: Any, *, read_anew: bool) -> Any:
    """Say which rows that are there already give way. An answer takes over a file's row that says the same."""
    was, comes = (_rank(one, read_anew=read_anew) for one in (table.c, new))
    is_newer = tuple_(*was) <= tuple_(*comes) if read_anew else tuple_(*was) < tuple_(*comes)
    proves = and_(table.c.job_id == FROM_FILE, new.job_id > FROM_FILE)
    changes = or_(proves, _differs(dataset, table, new))
    if not read_anew and dataset not in _ONLY_WHEN_CHANGED:
        changes = or_(new.job_id > FROM_FILE, changes)
    return and_(is_newer, changes)


def _rank(row: Any, *, read_anew: bool) -> list[Any]:
    """Return what decides between two rows of a key, first things first.

    What forms by a provider's clock that is behind says less than what was final before, however late it was asked.
    """
    is_final = [row.is_final] if "is_final" in row and not read_anew else []
    return [row.job_id > FROM_FILE, *is_final, row.observed_at]


def _known_since(dataset: str, table: Table, new: Any) -> dict[str, Any]:
    """Say since when a row is known to say what it now says, where that is kept: NULL is "since it was observed".

    So a row that one answer brought, and most of history is that, stores nothing for it.
    """
    if "known_since" not in table.c:
        return {}
    was = func.least(func.coalesce(table.c.known_since, table.c.observed_at), new.observed_at)  # a file may be younger
    return {"known_since": case((_differs(dataset, table, new), None), else_=was)}


def _differs(dataset: str, table: Table, new: Any) -> Any:
    return or_(*(table.c[name].is_distinct_from(new[name]) for name in _said(dataset)))


def _said(dataset: str) -> list[str]:
    """Return the columns in which a change is news: a bar that has become final is, too."""
    return [*value_columns(dataset), *(["is_final"] if "is_final" in table_of(dataset).c else [])]


def _latest_of_each_key(dataset: str, table: Table) -> Any:
    """Return the staged rows in key order, of each key the one that wins over the others: repeats would fail it."""
    columns = (Column(name, table.c[name].type) for name in copy_columns(dataset))
    staging = Table(staging_name(dataset), type(table.metadata)(), *columns)
    key = [staging.c[name] for name in table.primary_key.columns.keys()]  # noqa: SIM118
    best = [one.desc() for one in _rank(staging.c, read_anew=False)]
    rows = select(*staging.c).ext(distinct_on(*key)).order_by(*key, *best, staging.c.ts)
    return rows.where(text(f"NOT ({_IS_KNOWN})")) if dataset == "observations" else rows


def _revisions(written: Any) -> Any:
    return (
        insert(Revision)
        .from_select(
            ["series_id", "ts", "old_row", "known_since", "superseded_at", "job_id"],
            select(
                written.c.series_id,
                written.c.ts,
                written.c.old_row,
                written.c.old_known_since,
                written.c.observed_at,
                written.c.job_id,
            ).where(written.c.old_row.is_not(None)),
        )
        .cte("revised")
    )


def _newly_final(columns: tuple[str, ...]) -> str:
    """How much the row adds to its day's final rows: 1, 0 or -1. Rows without finality are final when stored."""
    if "is_final" in columns:
        return "new.is_final::int - coalesce(old.is_final, false)::int"
    return "(old.series_id IS NULL)::int"


def _hash_delta(dataset: str) -> str:
    """How much the row changes its day's hash."""
    was = f"CASE WHEN old.series_id IS NULL THEN 0 ELSE {row_hash(dataset, 'old')} END"
    return f"{row_hash(dataset, 'new')} # {was}"


def _ledger(written: Any) -> Any:
    day = cast(func.timezone("UTC", written.c.ts), SqlDate).label("day")
    is_from_file = func.max(written.c.job_id) == FROM_FILE
    days = (
        select(
            written.c.series_id,
            day,
            func.count().filter(written.c.is_new),
            func.sum(written.c.final_delta),
            func.bit_xor(written.c.hash_delta),
            func.greatest(func.max(written.c.job_id), 0),
            case((is_from_file, func.now()), else_=func.max(written.c.observed_at)),
            case((is_from_file, "imported"), else_="fetched"),
        )
        .group_by(written.c.series_id, day)
        .order_by(written.c.series_id, day)
    )
    columns = ["series_id", "day", "stored", "final", "hash", "job_id", "updated_at", "state"]
    counted = insert(LedgerDay).from_select(columns, days)
    return counted.on_conflict_do_update(
        index_elements=["series_id", "day"],
        set_={
            "stored": LedgerDay.stored + counted.excluded.stored,
            "final": LedgerDay.final + counted.excluded.final,
            "hash": LedgerDay.hash.bitwise_xor(counted.excluded.hash),
            "updated_at": counted.excluded.updated_at,
            "deleted_at": None,
            **_standing(counted.excluded),
        },
    ).cte("counted")


def _standing(new: Any) -> dict[str, Any]:
    """Return what the ledger says of a day's proof once rows have come. Those of a file take it away."""
    is_imported = new.state == "imported"
    # A row that comes after all: which of the day's are missing must be found anew.
    is_late = and_(new.stored > 0, LedgerDay.confirmed > 0)
    is_begun = LedgerDay.state.not_in(("planned", "unavailable"))
    # What comes for a day that retention emptied is a new beginning: nobody has verified it.
    stays = and_(LedgerDay.deleted_at.is_(None), is_begun, not_(is_late))
    nothing = text("'{}'::tstzmultirange")
    return {
        "state": case(
            (LedgerDay.state == "suspect", "suspect"),
            (is_imported, "imported"),
            (stays, LedgerDay.state),
            else_="fetched",
        ),
        "confirmed": case((or_(is_imported, is_late), 0), else_=LedgerDay.confirmed),
        "once": case((is_imported, nothing), else_=LedgerDay.once),
        "twice": case((is_imported, nothing), else_=LedgerDay.twice),
        "next_at": case((is_imported, None), else_=LedgerDay.next_at),
        "note": case((and_(is_imported, LedgerDay.state != "suspect"), None), else_=LedgerDay.note),
        # The last evidence, which a file is not.
        "job_id": case((is_imported, LedgerDay.job_id), else_=new.job_id),
    }
