"""The whole matrix on a farm of real workers, over both transports, five pages a day: the command and its verdicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks.fault_table import SCENARIOS
from benchmarks.fault_verdict import LEAST_POLLS, NOISE_MS, NOTICED_ABOVE
from ingest.settings import CHECKOUT

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]
PAGES_ROWS = "5000"
#: 31 faults of this length, four polls a second: enough for a p95 of the neighbour.
SECONDS = "1.5"


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_the_command_plays_every_fault_and_finds_nothing_unreported_twice_or_sent_while_banned(transport: str) -> None:
    argv = [sys.executable, "-m", "benchmarks", "faults", "--json", "--rows", PAGES_ROWS, "--seconds", SECONDS]
    argv += ["--transport", transport]
    done = subprocess.run(argv, cwd=CHECKOUT, env=os.environ, capture_output=True, text=True, timeout=880, check=False)
    assert done.stdout, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert set(figures["matrix"]) == {one.name for one in SCENARIOS}
    wrong = {name: row for name, row in figures["matrix"].items() if not row["as_expected"]}
    assert wrong == {}
    assert (figures["unreported"], figures["duplicates"], figures["sent_while_banned"]) == (0, 0, 0)
    assert figures["neighbour_failed"] == 0
    assert figures["neighbour_polls"]["ill"] >= LEAST_POLLS
    allowed_ms = NOTICED_ABOVE * figures["neighbour_p95_ms"]["well"] + NOISE_MS
    assert figures["neighbour_p95_ms"]["ill"] <= allowed_ms, figures["neighbour_p95_ratio_to_well"]
    assert figures["neighbour_noticed"] == 0, figures["neighbour_p95_ratio"]
    assert done.returncode == 0
