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
from benchmarks.fault_table import SCENARIOS, SHORT_WAITS, Scenario
from benchmarks.fault_verdict import healthy_failed
from tests.faults.conftest import OpenContext
from tests.faults.in_process import HealthyPolls, InProcess, polling
from tests.waiting import until

DAY_ROWS = 1_440
QUIET_POLLS = 20

_days = days(DAY_ROWS)


@dataclass
class Neighbour:
    """The healthy provider's polls, and what each took while nobody was ill (seconds)."""

    polls: HealthyPolls
    quiet: list[float] = field(default_factory=list)

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
    row = played.figures(neighbour.quiet)
    assert (row["unreported"], row["duplicates"], row["sent_while_banned"]) == (0, 0, 0), row
    assert row["as_expected"], row
    assert row["rows"]["stored"] + row["rows"]["missing"] == DAY_ROWS
    assert row["went_elsewhere"] == 0
    assert neighbour.polls.error is None
    with ground.sessions() as session:
        assert healthy_failed(session) == 0


def test_polls_of_a_healthy_provider_do_not_wait_for_one_that_hangs(ground: InProcess, neighbour: Neighbour) -> None:
    hung = next(one for one in SCENARIOS if one.name == "hung_socket")
    beside = play(ground, hung, _days, at_least_s=2 * SHORT_WAITS["timeout_s"]).healthy
    neighbour.rest()
    assert len(beside) >= 3
    # Half a batch's time: a poll that waited for the hung one would wait for most of it. By how much p95 moves is
    # measured by the command, with workers of their own: here both share a process, and the machine with other tests.
    assert median(beside) <= median(neighbour.quiet) + SHORT_WAITS["timeout_s"] / 2, (neighbour.quiet, beside)
