"""A ban is the provider's word to the whole farm: while one job waits it out, no other job of the provider is sent.

Deliberately not here: the job that was banned itself (test_matrix).
"""

from __future__ import annotations

from benchmarks.fault_play import days, play
from benchmarks.fault_table import Arm, Scenario
from tests.faults.in_process import InProcess

THREE_SERIES = 3
#: Longer than three jobs take to be sent one after the other.
BAN = Scenario("418_ban_of_three_series", (Arm("ban", 1, {"seconds": 2.9}),))


def test_while_one_job_waits_out_a_ban_no_other_job_of_the_provider_is_sent(ground: InProcess) -> None:
    played = play(ground, BAN, days(1_440, THREE_SERIES))
    row = played.figures([])
    assert (row["unreported"], row["duplicates"], row["state"]) == (0, 0, "whole")
    assert row["sent_while_banned"] == 0
