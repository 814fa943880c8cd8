"""The advisory lock: of any number of beats one leads, and when it goes another takes over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy.exc import DBAPIError

from ingest.pipeline.leader import Leadership
from models import open_engine
from tests.conftest import statement
from tests.waiting import until


@pytest.fixture
def candidate(database_url):
    """Return what makes a candidate with an engine of its own, as a process has."""
    engines = []
    candidates = []

    def make():
        engines.append(open_engine(database_url, application_name=f"beat {len(engines)}"))
        candidates.append(Leadership(engines[-1]))
        return candidates[-1]

    yield make
    for one in candidates:
        one.release()
    for engine in engines:
        engine.dispose()


def test_one_leads_the_other_stands_by_and_takes_over_on_release(candidate):
    one, other = candidate(), candidate()
    assert [one.held(), other.held(), one.held(), other.held()] == [True, False, True, False]
    one.release()
    until(other.held, what="the stand-by")
    assert not one.held()


def test_of_racing_candidates_exactly_one_leads(candidate):
    racers = [candidate() for _ in range(5)]
    together = Barrier(len(racers))

    def run(one):
        together.wait(10)
        return one.held()

    with ThreadPoolExecutor(len(racers)) as pool:
        assert sum(pool.map(run, racers)) == 1


def test_releasing_without_leading_or_twice_does_nothing(candidate):
    one, other = candidate(), candidate()
    assert one.held()
    other.release()
    assert not other.held()
    one.release()
    one.release()


def test_a_leader_whose_connection_dies_finds_out_and_leads_no_longer(candidate, database_url):
    one, other = candidate(), candidate()
    assert one.held()
    kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'beat 0'"
    assert statement(database_url, kill) == 1
    until(other.held, what="the stand-by")
    with pytest.raises(DBAPIError):
        one.held()
    assert not one.held()
    other.release()
    until(one.held, what="the first again")
