"""Evidence: the ledger's statements about what an answer covered, and whether the table holds what it said.

Deliberately not here: which stretches an answer covers (pipeline/covered), counting what a write inserts (upsert).
Invariant: an answer is judged in the transaction that stores it, against the rows themselves; rows that were observed
later than it are not its business, and days of these are left alone. Days are written in key order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.upsert import FROM_FILE, row_hash, staging_name, table_of

#: A stretch is confirmed to be empty by an answer that was asked this long after it, at the earliest: a provider that
#: is behind says twice in one minute that there is nothing yet.
CONFIRM_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A covered part `[start, end)` of a series' day, and how many rows are expected in it and in the whole day.

    Both are None where no number is known.
    """

    series_id: int
    day: date
    start: datetime
    end: datetime
    observed_at: datetime
    expected: int | None = None
    expected_in_day: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A covered part `[start, end)` of a series, of whatever length."""

    series_id: int
    start: datetime
    end: datetime
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose answer it is. `heals`: it was asked because days are suspect."""

    job_id: int
    payload_key: str
    heals: bool = False


#: The stretches, a row each, for the statements about them.
ASKED = """
    asked AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:series AS integer[]), CAST(:days AS date[]), CAST(:starts AS timestamptz[]),
            CAST(:ends AS timestamptz[]), CAST(:observed AS timestamptz[]), CAST(:expected AS integer[]),
            CAST(:in_day AS integer[])
        ) AS asked (series_id, day, starts, ends, observed_at, expected, in_day)
    )"""


_LEFT_OUT = text("""
    UPDATE ledger SET twice = twice + once * tstzmultirange(days.span), once = once + tstzmultirange(days.span),
        answered_at = days.observed_at
    FROM unnest(
            CAST(:series AS integer[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),
            CAST(:observed AS timestamptz[])
        ) AS asked (series_id, starts, ends, observed_at),
        LATERAL (
            SELECT day, asked.observed_at,
                tstzrange(day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC') AS span
            FROM ledger AS planned WHERE planned.series_id = asked.series_id AND stored = 0 AND state = 'planned'
        ) AS days
    WHERE ledger.series_id = asked.series_id AND ledger.day = days.day
        AND days.span <@ tstzrange(asked.starts, asked.ends)
""")
#: The answer says that the table holds other rows, and nobody asked because of that.
_IS_NEWS = "excluded.state = 'suspect' AND NOT :heals"
_DAY = "tstzrange(known.day::timestamp AT TIME ZONE 'UTC', (known.day + 1)::timestamp AT TIME ZONE 'UTC')"
#: What a day is after an answer. A suspect one is whole again once answers that were asked for that cover it, an
#: imported one once no row is there on a file's word alone. (Of observations older vintages stay: any answer does.)
_STATE = """CASE
            WHEN excluded.state = 'suspect' THEN 'suspect'
            WHEN known.state = 'suspect' AND NOT (:heals AND known.once + excluded.once @> {day}) THEN 'suspect'
            WHEN known.state = 'imported' AND {is_unproven} THEN 'imported'
            WHEN known.stored = known.final AND known.final + known.confirmed
                >= coalesce(known.expected, excluded.expected) THEN
                CASE WHEN known.stored = 0 THEN 'empty_confirmed' ELSE 'verified' END
            WHEN known.state IN ('verified', 'empty_confirmed') AND known.deleted_at IS NULL THEN known.state
            ELSE 'fetched' END"""
_IS_UNPROVEN = f"""EXISTS (SELECT FROM {{dataset}} AS kept
                WHERE kept.series_id = known.series_id AND kept.ts >= known.day::timestamp AT TIME ZONE 'UTC'
                    AND kept.ts < (known.day + 1)::timestamp AT TIME ZONE 'UTC' AND kept.job_id = {FROM_FILE})"""


def mend(session: Session, dataset: str, stretches: Sequence[Stretch]) -> int:
    """Delete what the table holds otherwise than the staged answer in suspect days; return how many rows.

    Only where nothing can be missing in the answer: it has as many rows as are expected, or an earlier one, since the
    day became suspect, covered the stretch too. Comes before the write of the same answer, which is staged already.
    """
    return int(session.execute(_mend(dataset), parameters(stretches)).scalar_one())


def count_anew(session: Session, dataset: str, stretches: Sequence[Stretch]) -> None:
    """Let the ledger's counts say what the table holds, of the suspect days among these. Comes after the write."""
    session.execute(_count_anew(dataset), parameters(stretches))


def note(session: Session, dataset: str, stretches: Sequence[Stretch], origin: Origin) -> None:
    """Note what an answer covered and whether the table holds what it said. Comes after the write, while it is staged.

    One statement: it reads the stretches' rows again and hashes them, some 1 us a row.
    """
    said = {"job": origin.job_id, "payload": origin.payload_key, "heals": origin.heals, "confirm": CONFIRM_AFTER}
    session.execute(_note(dataset), parameters(stretches) | said)


def note_left_out(session: Session, spans: Sequence[Span]) -> None:
    """Note of planned dates without a value that an answer covered them: it says that there is none."""
    asked = {
        "series": [one.series_id for one in spans],
        "starts": [one.start for one in spans],
        "ends": [one.end for one in spans],
        "observed": [one.observed_at for one in spans],
    }
    session.execute(_LEFT_OUT, asked)


def parameters(stretches: Sequence[Stretch]) -> dict[str, object]:
    """Return what the statements about stretches are given."""
    return {
        "series": [one.series_id for one in stretches],
        "days": [one.day for one in stretches],
        "starts": [one.start for one in stretches],
        "ends": [one.end for one in stretches],
        "observed": [one.observed_at for one in stretches],
        "expected": [one.expected for one in stretches],
        "in_day": [one.expected_in_day for one in stretches],
        "ids": sorted({one.series_id for one in stretches}),
        "first": min(one.start for one in stretches),
        "last": max(one.end for one in stretches),
    }


def _rows_of(table: str, alias: str, more: str) -> str:
    """Return a query of the rows within the stretches, each with its stretch; hashed by day, so it is one join."""
    return (
        f"SELECT asked.series_id, asked.day, asked.starts, {more} FROM {table} AS {alias} JOIN asked"
        f" ON asked.series_id = {alias}.series_id AND asked.day = ({alias}.ts AT TIME ZONE 'UTC')::date"
        f" AND {alias}.ts >= asked.starts AND {alias}.ts < asked.ends"
        f" WHERE {alias}.series_id = ANY(:ids) AND {alias}.ts >= :first AND {alias}.ts < :last"
    )


@cache
def _note(dataset: str) -> TextClause:
    is_unproven = "false" if dataset == "observations" else _IS_UNPROVEN.format(dataset=dataset)
    state = _STATE.format(day=_DAY, is_unproven=is_unproven)
    return text(f"""
    WITH {ASKED}, {_judged(dataset)}
    INSERT INTO ledger AS known
        (series_id, day, expected, stored, final, state, once, job_id, payload_key, answered_at, updated_at)
    SELECT series_id, day, expected, 0, 0, CASE WHEN matches THEN 'fetched' ELSE 'suspect' END,
        CASE WHEN matches OR :heals THEN once ELSE '{{}}' END, :job, :payload, answered_at, answered_at
    FROM judged ORDER BY series_id, day
    ON CONFLICT (series_id, day) DO UPDATE SET
        expected = coalesce(known.expected, excluded.expected),
        once = CASE WHEN {_IS_NEWS} THEN '{{}}' ELSE known.once + excluded.once END,
        twice = CASE WHEN {_IS_NEWS} THEN '{{}}' ELSE known.twice + known.once * excluded.once
            * tstzmultirange(tstzrange(NULL, excluded.answered_at - CAST(:confirm AS interval))) END,
        confirmed = CASE WHEN {_IS_NEWS} THEN 0 ELSE known.confirmed END,
        state = {state},
        note = CASE WHEN excluded.state = 'suspect' THEN 'the table holds other rows than were answered' END,
        next_at = CASE WHEN {_IS_NEWS} AND known.state <> 'suspect' THEN NULL ELSE known.next_at END,
        attempts = CASE WHEN {_IS_NEWS} AND known.state <> 'suspect' THEN 0 ELSE known.attempts END,
        job_id = excluded.job_id, payload_key = excluded.payload_key, answered_at = excluded.answered_at,
        updated_at = greatest(known.updated_at, excluded.updated_at)
    """)


def _judged(dataset: str) -> str:
    """Return the steps that compare, stretch by stretch, what was said (staged) with what is kept.

    Of observations, of which older vintages are kept that an answer need not hold, it only says what was covered.
    """
    there = f"{row_hash(dataset, 'there')} AS hash, there.observed_at > asked.observed_at AS is_newer"
    matches = "(said.rows, said.hash) IS NOT DISTINCT FROM (kept.rows, kept.hash)"
    matches = "true" if dataset == "observations" else matches
    staged = _rows_of(staging_name(dataset), "said", f"{row_hash(dataset, 'said')} AS hash")
    return f"""
    said AS (
        SELECT series_id, day, starts, count(*) AS rows, bit_xor(hash) AS hash
        FROM ({staged}) AS said GROUP BY series_id, day, starts
    ),
    kept AS (
        SELECT series_id, day, starts, count(*) AS rows, bit_xor(hash) AS hash, bool_or(is_newer) AS is_newer
        FROM ({_rows_of(dataset, "there", there)}) AS kept GROUP BY series_id, day, starts
    ),
    judged AS (
        SELECT asked.series_id, asked.day, max(asked.in_day) AS expected, max(asked.observed_at) AS answered_at,
            bool_and({matches}) AS matches,
            range_agg(tstzrange(asked.starts, asked.ends)) AS once
        FROM asked LEFT JOIN said USING (series_id, day, starts) LEFT JOIN kept USING (series_id, day, starts)
        WHERE NOT coalesce(kept.is_newer, false)
        GROUP BY asked.series_id, asked.day
    )"""


@cache
def _mend(dataset: str) -> TextClause:
    same = " AND ".join(f"said.{name} = there.{name}" for name in table_of(dataset).primary_key.columns.keys())  # noqa: SIM118
    return text(f"""
    WITH {ASKED},
    said AS (
        SELECT series_id, day, starts, count(*) AS rows
        FROM ({_rows_of(staging_name(dataset), "said", "1")}) AS said GROUP BY series_id, day, starts
    ),
    whole AS (
        SELECT asked.* FROM asked JOIN ledger USING (series_id, day) LEFT JOIN said USING (series_id, day, starts)
        WHERE ledger.state = 'suspect'
            AND (coalesce(said.rows, 0) >= asked.expected OR ledger.once @> tstzrange(asked.starts, asked.ends))
    ),
    gone AS (
        DELETE FROM {dataset} AS there USING whole
        WHERE there.series_id = whole.series_id AND there.ts >= whole.starts AND there.ts < whole.ends
            AND there.ts >= :first AND there.ts < :last
            AND NOT EXISTS (SELECT FROM {staging_name(dataset)} AS said
                WHERE {same} AND {row_hash(dataset, "said")} = {row_hash(dataset, "there")})
        RETURNING 1
    )
    SELECT count(*) FROM gone
    """)


@cache
def _count_anew(dataset: str) -> TextClause:
    final = "there.is_final" if "is_final" in table_of(dataset).c else "true"
    return text(f"""
    WITH {ASKED},
    ill AS (
        SELECT DISTINCT ledger.series_id, ledger.day FROM ledger JOIN asked USING (series_id, day)
        WHERE ledger.state = 'suspect'
    ),
    kept AS (
        SELECT ill.series_id, ill.day, count(there.ts) AS rows, count(there.ts) FILTER (WHERE {final}) AS final,
            coalesce(bit_xor({row_hash(dataset, "there")}) FILTER (WHERE there.ts IS NOT NULL), 0) AS hash
        FROM ill LEFT JOIN {dataset} AS there ON there.series_id = ill.series_id
            AND there.ts >= ill.day::timestamp AT TIME ZONE 'UTC'
            AND there.ts < (ill.day + 1)::timestamp AT TIME ZONE 'UTC'
        GROUP BY ill.series_id, ill.day ORDER BY ill.series_id, ill.day
    )
    UPDATE ledger SET stored = kept.rows, final = kept.final, hash = kept.hash
    FROM kept WHERE ledger.series_id = kept.series_id AND ledger.day = kept.day
    """)
