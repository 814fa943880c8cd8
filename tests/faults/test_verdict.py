"""The judge can find against the farm: rows that are gone without a word, rows the ledger never saw, a ban ignored."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from benchmarks.fault_play import days, play
from benchmarks.fault_sandbox import SandboxControl
from benchmarks.fault_table import HEALTHY, SCENARIOS, WELL, Arm, Scenario
from benchmarks.fault_verdict import LEAST_POLLS, NOISE_MS, Neighbour, Verdict, healthy_s, is_noticed, judge, neighbour
from benchmarks.faults import MUST_BE_0, is_bad
from benchmarks.forwarder import forwarding
from ingest.pipeline import jobs
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.jobs import NewJob
from tests.emptying import empty
from tests.faults.in_process import InProcess

MINUTES = 30


def change(ground: InProcess, statement: str, **parameters: object) -> None:
    with ground.sessions.begin() as session:
        session.execute(text(statement), parameters)


def judged(ground: InProcess, day: Any) -> Verdict:
    with ground.sessions() as session:
        return judge(session, day)


@pytest.fixture(autouse=True)
def _nothing_stored(module_database_url: str) -> None:
    empty(module_database_url)


@pytest.fixture
def day(ground: InProcess) -> Any:
    """Return a day that is stored whole."""
    chosen = next(days(MINUTES))
    play(ground, WELL, iter([chosen]))
    assert judged(ground, chosen) == Verdict(stored=MINUTES, missing=0, unreported=0, duplicates=0)
    return chosen


def test_rows_that_are_gone_are_unreported_and_the_ledger_counts_them_still(ground: InProcess, day: Any) -> None:
    change(ground, "DELETE FROM bars WHERE ts >= :at", at=day.end - timedelta(minutes=3))
    assert judged(ground, day) == Verdict(stored=MINUTES - 3, missing=3, unreported=3, duplicates=3)


def test_a_revision_of_a_row_that_never_changed_is_a_duplicate(ground: InProcess, day: Any) -> None:
    change(
        ground,
        "INSERT INTO revisions (series_id, ts, old_row, known_since, superseded_at, job_id)"
        " SELECT series_id, ts, '{}', now(), now(), job_id FROM bars LIMIT 1",
    )
    assert judged(ground, day).duplicates == 1


def test_a_finding_excuses_the_minutes_it_names_and_no_others(ground: InProcess) -> None:
    chosen = next(days(MINUTES))
    holed = Scenario("holed", (Arm("missing_row", None, {"row": 4}),), expects="reported")
    row = play(ground, holed, iter([chosen])).figures([])
    assert (row["state"], row["rows"]["missing"], row["unreported"]) == ("reported", 1, 0)
    change(ground, "DELETE FROM bars WHERE ts = (SELECT max(ts) FROM bars)")
    assert judged(ground, chosen).unreported == 1


def test_a_fault_that_no_request_met_is_an_error_and_no_figure(ground: InProcess) -> None:
    missed = Scenario("missed", (Arm("status", None), Arm("hang")))  # the first takes every request
    with pytest.raises(RuntimeError, match="no request met hang"):
        play(ground, missed, days(MINUTES))


def poll_of_healthy(ground: InProcess, slot: datetime) -> None:
    call = {"dataset": "quotes", "instruments": ["BTC-USD"]}
    poll = NewJob(f"healthy:{slot.isoformat()}", f"{FETCH_PREFIX}{HEALTHY}", "live", call, due_at=slot)
    with ground.sessions.begin() as session:
        jobs.insert_jobs(session, [poll])


def test_a_poll_of_the_neighbour_that_still_waits_counts_with_what_it_has_waited(ground: InProcess) -> None:
    now = datetime.now(UTC)
    poll_of_healthy(ground, now - timedelta(seconds=30))
    with ground.sessions() as session:
        [waits_s] = healthy_s(session, now - timedelta(minutes=1), now)
    assert 30 <= waits_s < 40


def test_a_poll_of_the_neighbour_ends_with_its_commit_and_not_when_its_transaction_says(ground: InProcess) -> None:
    now = datetime.now(UTC)
    poll_of_healthy(ground, now)
    with ground.sessions.begin() as session:
        session.execute(text("UPDATE jobs SET state = 'done', finished_at = now()"))
        session.execute(text("SELECT pg_sleep(0.5)"))
    with ground.sessions() as session:
        [took_s] = healthy_s(session, now, now + timedelta(seconds=1))
        said_s = float(session.scalar(text("SELECT extract(epoch FROM finished_at - due_at) FROM jobs")) or 0)
    assert 0.5 <= took_s - said_s < 5


def test_a_neighbour_that_waits_half_as_long_again_and_more_than_noise_has_noticed() -> None:
    well, beside = [0.1] * LEAST_POLLS, [(150 + NOISE_MS) / 1000] * LEAST_POLLS
    assert not is_noticed(well, beside)
    assert is_noticed(well, [one + 0.001 for one in beside])
    assert not is_noticed(well, [9.0] * (LEAST_POLLS - 1)), "a p95 of too few polls says nothing"


def test_the_neighbour_is_judged_by_the_same_work_of_a_well_provider_and_on_a_quiet_machine_by_no_work_too() -> None:
    quiet, well, beside = ([seconds] * LEAST_POLLS for seconds in (0.1, 0.2, 0.3))
    busy = neighbour(Neighbour(quiet, well, beside), is_machine_quiet=False)
    assert (busy["neighbour_p95_ratio"], busy["neighbour_p95_ratio_to_well"], busy["neighbour_noticed"]) == (
        3.0,
        1.5,
        0,
    )
    assert neighbour(Neighbour(quiet, well, beside), is_machine_quiet=True)["neighbour_noticed"] == 1
    assert neighbour(Neighbour(quiet, quiet, beside), is_machine_quiet=False)["neighbour_noticed"] == 1


@pytest.mark.parametrize("verdict", MUST_BE_0)
def test_any_verdict_that_is_not_0_fails_the_command(verdict: str) -> None:
    clean: Mapping[str, int] = dict.fromkeys(MUST_BE_0, 0)
    assert not is_bad(clean)
    assert is_bad({**clean, verdict: 1})


def test_every_fault_has_a_name_of_its_own() -> None:
    names = [one.name for one in SCENARIOS]
    assert len(set(names)) == len(names) >= 24


def answers(connection: socket.socket) -> bool:
    """Say whether a request over the connection is answered; one that was cut is reset, or at its end."""
    try:
        connection.sendall(b"GET /sandbox/health HTTP/1.1\r\n\r\n")
        return connection.recv(65_536).startswith(b"HTTP/1.1 200")
    except (ConnectionResetError, BrokenPipeError):
        return False


def test_a_forwarder_that_is_shut_refuses_and_holds_its_port(control: SandboxControl) -> None:
    port = int(control.url.rpartition(":")[2])
    with forwarding(port) as forwarder:
        address = ("127.0.0.1", forwarder.port)
        with socket.create_connection(address, timeout=5) as open_one:
            assert answers(open_one)
            forwarder.shut()
            assert not answers(open_one)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(address)
        forwarder.open()
        with socket.create_connection(address, timeout=5) as again:
            assert answers(again)
