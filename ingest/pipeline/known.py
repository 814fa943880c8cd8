"""Known: the query of what a series said at a past moment, which reads like the dataset's table.

Deliberately not here: keeping what is asked for here, `known_since` and the revisions (models/upsert). Invariant: of
each key comes one row at most, and none that was not known by then; what was never kept is left out, not made up.

Of each key, what it said is the row that was superseded first after the moment, else the present one. It was known
since the request whose answer first said so was sent; a dated vintage that was fetched later than that, since its day
was over (UTC), because providers date vintages to the day. Of a date's known vintages the newest is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ingest.errors import FixRequest
from ingest.market.records import KEY_COLUMNS, VALUE_COLUMNS, Dataset
from models.upsert import table_of

#: A row of these gives way to another of its moment, and what it said is kept nowhere.
_NOT_KEPT: tuple[Dataset, ...] = ("quotes", "books")


def check_as_of(dataset: Dataset) -> None:
    """Raise FixRequest for a dataset of which nobody can tell what was known."""
    if dataset in _NOT_KEPT:
        raise FixRequest(
            f"{dataset} can't be read as of a moment: one replaces another of the same ts, and what that one said is"
            " not kept; an end leaves out those that came later"
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """Which rows of a series, in SQL: `bounds` of `series_id` and `ts`, then a condition on the key, or none.

    `order` is the key's; `most` is how many of them are needed.
    """

    bounds: str
    behind: str
    order: Literal["ASC", "DESC"]
    most: int


def known(dataset: Dataset, cut: Cut) -> str:
    """Return the query; its parameters are the cut's own and `as_of`. It has the columns of a read, in no order.

    `observed_at` is when what a row says was first observed: for a dated vintage that may be after the moment.
    """
    key = ("ts", *KEY_COLUMNS[dataset])
    keys, ordered = ", ".join(key), ", ".join(f"{name} {cut.order}" for name in key)
    # Of a date's vintages one is left, so those of observations can't be cut before they are compared.
    most = "" if dataset == "observations" else f"LIMIT {cut.most}"
    one_a, newest = ("ts", "ts, vintage DESC") if dataset == "observations" else (keys, ordered)
    # A final bar had ended, so those that opened later need not be looked at.
    bounds = f"{cut.bounds} AND ts < %(as_of)s" if dataset == "bars" else cut.bounds
    is_final = " AND is_final" if dataset == "bars" else ""
    columns = list(dict.fromkeys((*key, *VALUE_COLUMNS[dataset]))) + ["is_final"] * (dataset == "bars")
    known_since = "coalesce(known_since, observed_at)" if "known_since" in table_of(dataset).c else "observed_at"
    # Revisions outlive rows that retention takes: of a day that is gone they alone would be read.
    there = " AND ".join(f"there.{name} = later.{name}" for name in table_of(dataset).primary_key.columns.keys())  # noqa: SIM118
    return f"""
    WITH revised AS (
        SELECT old_row, known_since, superseded_at FROM (
            SELECT series_id, {", ".join(_in_revisions(dataset, name) for name in key)},
                old_row, known_since, superseded_at
            FROM revisions WHERE {bounds} AND superseded_at > %(as_of)s
        ) AS later CROSS JOIN LATERAL (SELECT FROM {dataset} AS there WHERE {there} LIMIT 1) AS there
        WHERE {_counts_from(dataset, "known_since")} <= %(as_of)s{cut.behind}
        ORDER BY {ordered} {most}
    ), present AS (
        SELECT {", ".join(columns)}, {known_since} AS observed_at, NULL::timestamptz AS superseded_at
        FROM {dataset} WHERE {bounds}{is_final} AND {_counts_from(dataset, known_since)} <= %(as_of)s{cut.behind}
        ORDER BY {ordered} {most}
    )
    SELECT DISTINCT ON ({one_a}) * FROM (
        TABLE present
        UNION ALL
        SELECT {", ".join(f"old.{name}" for name in columns)}, revised.known_since, superseded_at
        FROM revised CROSS JOIN LATERAL jsonb_populate_record(NULL::{dataset}, old_row) AS old
    ) AS said ORDER BY {newest}, superseded_at
    """


def _in_revisions(dataset: Dataset, name: str) -> str:
    """Return where a revision has a column of its row's key."""
    return name if name == "ts" else f"(old_row->>'{name}')::{table_of(dataset).c[name].type.compile()} AS {name}"


def _counts_from(dataset: Dataset, since: str) -> str:
    """Return from when on a row counts."""
    return f"least({since}, (vintage + 1)::timestamp AT TIME ZONE 'UTC')" if dataset == "observations" else since
