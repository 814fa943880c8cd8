"""Properties of the write path: whatever comes in whatever order, rows, ledger and revisions are what they must be."""

from __future__ import annotations

import itertools
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.rows import DAY, OBSERVED, bar, counted, ledger, quote, select, store

#: Minutes of three days, both ends of one among them.
MINUTES = (0, 1, 2, 1439, 1440, 2 * 1440 + 5)
_series = itertools.count(1000)

observations = st.tuples(st.sampled_from(MINUTES), st.integers(0, 5))
batches = st.lists(st.lists(observations, max_size=8), max_size=5)


def said(minute, observed):
    """What an observation says follows from it alone; some later ones say the same again, a few are not final."""
    return {"close": f"{1 + observed // 2}.{minute % 7}0", "is_final": "t" if (observed + minute) % 4 else "f"}


def rank(minute, observed):
    """Return what decides between two observations."""
    return said(minute, observed)["is_final"] == "t", observed


def expected(given_batches):
    """Replay the batches in plain Python: rows by minute, and what the revisions must hold."""
    rows: dict[int, int] = {}
    revisions = []
    for one in given_batches:
        best = {m: max((rank(m, o) for k, o in one if k == m))[1] for m, _ in one}
        for minute, observed in sorted(best.items()):
            before = rows.get(minute)
            if before is not None and rank(minute, before) >= rank(minute, observed):
                continue
            if before is not None:
                old, new = said(minute, before), said(minute, observed)
                if old["is_final"] == "t" and old != new:
                    revisions.append((minute, old["close"]))
            rows[minute] = observed
    return rows, revisions


@settings(deadline=None, max_examples=60)
@given(batches)
def test_any_sequence_of_batches_leaves_the_latest_observations_an_exact_ledger_and_all_revisions(
    module_sessions, given_batches
):
    series = next(_series)
    for one in given_batches:
        store(module_sessions, *[bar(m, observed=o, series_id=series, **said(m, o)) for m, o in one])
    rows, revisions = expected(given_batches)
    stored = select(
        module_sessions, "SELECT ts, close::text, is_final, observed_at FROM bars WHERE series_id = :id", id=series
    )
    assert sorted(stored) == [
        (
            DAY + timedelta(minutes=minute),
            said(minute, observed)["close"],
            said(minute, observed)["is_final"] == "t",
            OBSERVED + timedelta(seconds=observed),
        )
        for minute, observed in sorted(rows.items())
    ]
    assert ledger(module_sessions, series_id=series) == counted(module_sessions, series_id=series)
    kept = "SELECT ts, old_row->>'close' FROM revisions WHERE series_id = :id"
    assert sorted(select(module_sessions, kept, id=series)) == sorted(
        (DAY + timedelta(minutes=minute), close) for minute, close in revisions
    )


@settings(deadline=None, max_examples=30)
@given(st.lists(observations, max_size=12), st.randoms())
def test_the_order_of_the_batches_does_not_change_what_is_stored(module_sessions, given_observations, random):
    tables = []
    for _ in range(2):
        series = next(_series)
        shuffled = random.sample(given_observations, len(given_observations))
        for minute, observed in shuffled:
            store(module_sessions, bar(minute, observed=observed, series_id=series, **said(minute, observed)))
        rows = "SELECT ts, close::text, is_final, observed_at FROM bars WHERE series_id = :id ORDER BY ts"
        tables.append((select(module_sessions, rows, id=series), ledger(module_sessions, series_id=series)))
    assert tables[0] == tables[1]


@settings(deadline=None, max_examples=30)
@given(batches)
def test_the_ledger_of_quotes_is_exact_too(module_sessions, given_batches):
    series = next(_series)
    for one in given_batches:
        rows = [quote(m, observed=o, series_id=series, bid=f"1.{o}") for m, o in one]
        store(module_sessions, *rows, dataset="quotes")
    assert ledger(module_sessions, series_id=series) == counted(module_sessions, "quotes", series_id=series)
    assert len(counted(module_sessions, "quotes", series_id=series)) == len(
        {m // 1440 for one in given_batches for m, _ in one}
    )
