"""Real revisions: two vintages of the Federal Reserve Bank of New York go through the farm, digit by digit.

They are files of the wheel statsmodels, read here and not by the sandbox, and never by importing it. What was known the
day after each of them is read back with `as_of`.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import distribution

import pytest

from ingest.market.times import parse_time
from ingest.pipeline.read import find, stored, within

FOLDER = "statsmodels/tsa/statespace/tests/results/frbny_nowcast/Nowcasting/data/US"
VINTAGES = ("2016-06-29", "2016-07-29")
QUARTERLY = ("GDPC1", "ULCNFB", "A261RX1Q020SBEA")


def cells(vintage: str) -> dict[tuple[str, date], Decimal]:
    """Return the values of a file by series and date; FRED dates a quarter by its first month, the file by its last."""
    text = distribution("statsmodels").locate_file(f"{FOLDER}/{vintage}.csv").read_text()
    found = {}
    for row in csv.DictReader(text.splitlines()):
        day = datetime.strptime(row.pop("Date"), "%m/%d/%y").date()  # noqa: DTZ007  a date has no zone
        for name, value in row.items():
            if value:
                at = day.replace(month=day.month - 2) if name in QUARTERLY else day
                found[name, at] = Decimal(value)
    return found


@pytest.fixture
def real_vintages(sandbox):
    """Turn the sandbox's four synthetic series that are real in the files to the real ones."""
    for dial in (1, 0):
        status, said = sandbox.control("POST", "limits", {"provider": "fred", "limits": {"real_vintages": dial}})
        assert status == 200, said
        if dial:
            yield


@pytest.mark.usefixtures("real_vintages")
def test_both_real_vintages_are_stored_exactly_and_85_values_are_revised_between_them(farm, monkeypatch):
    monkeypatch.setenv("FRED_API_KEY", "sandbox-key")
    before, after = map(cells, VINTAGES)
    names = sorted({name for name, _ in after})
    window = {"start": "1984-12-01T00:00:00+00:00", "end": "2017-01-01T00:00:00+00:00"}
    farm.owe("fred", {"dataset": "observations", "instruments": names, **window})
    farm.run()
    stored = farm.select(
        "SELECT instrument, (ts AT TIME ZONE 'UTC')::date, vintage::text, value, vintage_given"
        " FROM observations JOIN series ON id = series_id WHERE vintage = ANY(:days)",
        days=[date.fromisoformat(day) for day in VINTAGES],
    )
    expected = {(*cell, VINTAGES[0]): value for cell, value in before.items()}
    expected |= {(*cell, VINTAGES[1]): value for cell, value in after.items() if before.get(cell) != value}
    assert {tuple(row[:3]): row[3] for row in stored} == expected
    assert all(row[4] for row in stored)
    revised = farm.value(
        "SELECT count(*) FROM (SELECT FROM observations WHERE vintage = ANY(:days) GROUP BY series_id, ts"
        " HAVING count(*) > 1) AS twice",
        days=[date.fromisoformat(day) for day in VINTAGES],
    )
    assert (len(names), revised, len(before)) == (29, 85, 8_653)
    assert farm.findings() == []
    known = {day: cells_known(farm, names, parse_time(day)) for day in ("2016-06-30", "2016-07-30")}
    assert known["2016-06-30"] == before
    assert known["2016-07-30"] == before | after
    assert sum(known["2016-07-30"][cell] != value for cell, value in known["2016-06-30"].items()) == 85
    # A vintage has a day and no hour, so it counts once that day is over.
    older = cells_known(farm, names, datetime(2016, 6, 29, 23, 59, tzinfo=UTC))
    assert {name for name, _ in older} == {"GDPC1"}  # the one of them of which a wheel has an older vintage, of 2009
    assert cells_known(farm, names, datetime(2016, 7, 29, 23, 59, tzinfo=UTC)) == before


def cells_known(farm, names, moment):
    """Return what the reader of the pipeline says was known then, as `cells` does."""
    with farm.context.sessions() as session:
        wanted = find(session, "fred", "observations", names, interval=None)
    frame = stored(farm.context.sessions, within(wanted, start=None, end=None, as_of=moment))
    rows = frame.select("instrument", "ts", "value").rows()
    found = {(name, ts.date()): Decimal(value) for name, ts, value in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.usefixtures("real_vintages")
def test_the_accounts_of_2009_and_the_core_prices_of_2018_are_vintages_of_their_own_series(farm, monkeypatch):
    monkeypatch.setenv("FRED_API_KEY", "sandbox-key")
    window = {"start": "1957-01-01T00:00:00+00:00", "end": "2019-02-01T00:00:00+00:00"}
    farm.owe("fred", {"dataset": "observations", "instruments": ["GDPC1", "CPILFESL"], **window})
    farm.run()
    stored = {
        name: farm.select(
            "SELECT (ts AT TIME ZONE 'UTC')::date, vintage::text, value FROM observations JOIN series ON id = series_id"
            " WHERE instrument = :name ORDER BY ts, vintage",
            name=name,
        )
        for name in ("GDPC1", "CPILFESL")
    }
    assert stored["GDPC1"][0] == (date(1959, 1, 1), "2009-12-15", Decimal("2710.349"))
    assert [row[1] for row in stored["GDPC1"] if row[0] == date(2009, 7, 1)] == ["2009-12-15", "2016-06-29"]
    accounts = distribution("statsmodels").locate_file("statsmodels/datasets/macrodata/macrodata.csv").read_text()
    expected = [Decimal(row["realgdp"]) for row in csv.DictReader(accounts.splitlines())]
    assert [value for _, vintage, value in stored["GDPC1"] if vintage == "2009-12-15"] == expected
    assert stored["CPILFESL"][0] == (date(1957, 1, 1), "2018-12-12", Decimal("28.5"))
    assert stored["CPILFESL"][-1] == (date(2018, 11, 1), "2018-12-12", Decimal("259.481"))
    assert farm.findings() == []


def test_the_sandbox_reads_the_files_without_loading_their_packages():
    code = (
        "import sys; from sandbox.fred_files import file_series; assert len(file_series()) == 37;"
        "sys.exit(bool({'scipy', 'statsmodels', 'arch', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
