"""Each fault once, on one series-day: nothing goes missing unreported or comes twice, and no neighbour notices.

Deliberately not here: both transports, more data and real workers (test_matrix_full). The scenarios are those of
`python -m benchmarks faults`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

import pytest

from benchmarks.fault_play import days, play
from benchmarks.fault_sandbox import SandboxControl
from benchmarks.fault_table import SCENARIOS, Scenario
from benchmarks.fault_verdict import healthy_failed
from tests.faults.conftest import OpenContext
from tests.faults.in_process import HealthyPolls, InProcess, polling
from tests.waiting import until

DAY_ROWS = 1_440
QUIET_POLLS = 20
#: Ill and healthy share a process here, and with it Python's lock: a poll may wait while a page is parsed.
SHARED_PROCESS_S = 0.05

_days = days(DAY_ROWS)


@dataclass
class Neighbour:
    """The healthy provider's polls: the ones while nobody was ill, and the ones while somebody was (seconds each)."""

    polls: HealthyPolls
    quiet: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)

    def rest(self) -> None:
        """Take some polls while nobody is ill."""
        since, wanted = datetime.now(UTC), self.polls.done + QUIET_POLLS
        until(lambda: self.polls.done >= wanted or self.polls.error, what="quiet polls", within_s=60)
        self.quiet += self.polls.seconds(since)


@pytest.fixture(scope="module")
def neighbour(context_at: OpenContext, control: SandboxControl) -> Iterator[Neighbour]:
    """Poll the healthy provider throughout."""
    with context_at(control.url) as context, polling(context) as polls:
        made = Neighbour(polls)
        made.rest()
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one.name for one in SCENARIOS])
def test_a_day_from_an_ill_provider_is_whole_or_reported(
    ground: InProcess, neighbour: Neighbour, scenario: Scenario
) -> None:
    played = play(ground, scenario, _days)
    neighbour.beside += played.healthy
    row = played.figures(neighbour.quiet)
    assert (row["unreported"], row["duplicates"], row["sent_while_banned"]) == (0, 0, 0), row
    assert row["as_expected"], row
    assert row["rows"]["stored"] + row["rows"]["missing"] == DAY_ROWS
    assert row["went_elsewhere"] == 0
    assert neighbour.polls.error is None
    with ground.sessions() as session:
        assert healthy_failed(session) == 0


def test_polls_of_a_healthy_provider_took_no_longer_while_another_was_ill(
    ground: InProcess, neighbour: Neighbour
) -> None:
    hung = next(one for one in SCENARIOS if one.name == "hung_socket")
    neighbour.beside += play(ground, hung, _days).healthy
    neighbour.rest()
    # The median, because two to four polls fall into a scenario and other tests share the machine. What p95 does is
    # measured by the command, with workers of their own.
    before, beside = median(neighbour.quiet), median(neighbour.beside)
    assert beside <= max(1.5 * before, before + SHARED_PROCESS_S), (neighbour.quiet, neighbour.beside)
