"""The table of faults: what an ill provider does, and what must have become of its day when it is over.

One place for the tests (tests/faults) and the command (`python -m benchmarks faults`). Deliberately not here: playing a
scenario (fault_play) and judging it (fault_verdict). Invariant: every fault the sandbox or the network can do to a page
of bars stands here once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

#: Each alone at its provider, so that nothing but the farm can carry an illness from one to the other.
ILL: Final = "binance"
HEALTHY: Final = "coinbase"
ILL_INSTRUMENTS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
HEALTHY_INSTRUMENT: Final = "BTC-USD"
INTERVAL: Final = "1m"

#: Settings of the ill provider, as `TICKFARM_PROVIDERS__<NAME>__<FIELD>`: production's waits, made short. A batch is
#: cut after two seconds, failures wait 0.05, 0.1 and 0.2 s. Any other wait of the farm that must be shorter goes here.
#: A batch that is cut before the busy machine has read a refusal is not told of it: with one second that happened.
SHORT_WAITS: Final[Mapping[str, float]] = {
    "retry_base_s": 0.05,
    "retry_cap_s": 1.0,
    "timeout_s": 2.0,
    "breaker_open_s": 0.2,
    "breaker_open_cap_s": 0.5,
}

#: A page of 1,000 rows has 170 kB. At the farm's own 32 MiB, unpacking two bombs takes most of a second.
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
#: Five pages that a busy sandbox works off one after the other were all sent before the first was refused: measured up
#: to 0.3 s at a load of 12, and once over 0.6 s at 16. Whoever sends again on a connection that brought the refusal is
#: counted at once.
_IN_FLIGHT_S: Final = 1.2

#: What an answer's body says that is -1003 (too many requests) with a status of 200: no wait is told.
_THROTTLED_BODY = '{"code":-1003,"msg":"Too many requests queued."}'

State = Literal["whole", "given_up", "reported"]


@dataclass(frozen=True, slots=True)
class Arm:
    """A fault of the sandbox's. `times` counts answers, None lasts until it is cleared; a day is two pages."""

    fault: str
    times: int | None = 2
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the matrix. `lost` names what is taken away where no answer comes at all.

    `is_outage`: it ends once the provider was missed, because jobs wait for as long as it lasts.

    `expects`: the day is whole by itself once the fault is over; or was given up, with dead letters that name all that
    is missing, and is whole once they are requeued; or stays short, each missing row named in a finding.
    """

    name: str
    arms: tuple[Arm, ...] = ()
    lost: Literal["", "connection", "name"] = ""
    expects: State = "whole"
    is_outage: bool = False


def _status(status: int, times: int | None = 2, **arguments: Any) -> tuple[Arm, ...]:
    return (Arm("status", times, {"status": status, **arguments}),)


#: No fault at all, but the same work: what the others are compared with.
WELL: Final = Scenario("well", (Arm("slow", 1, {"delay_s": 0}),))

_BEHIND = Arm("clock_skew", None, {"offset_s": -300})

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario("persistent_500", _status(500, None), is_outage=True),
    Scenario("503_with_retry_after", _status(503, retry_after=2, in_flight_s=_IN_FLIGHT_S)),
    Scenario("429_with_retry_after", _status(429, retry_after=2, in_flight_s=_IN_FLIGHT_S)),
    # More often than failures are forgiven: being slowed down never counts as one in the end.
    Scenario("429_without_retry_after", _status(429, 8)),
    Scenario("418_ban_until_t", (Arm("ban", 1, {"seconds": 1.9, "in_flight_s": _IN_FLIGHT_S}),)),
    Scenario("connection_refused", lost="connection", is_outage=True),
    Scenario("reset_mid_body", (Arm("reset_midway", 4),)),
    Scenario("dns_failure", lost="name", is_outage=True),
    Scenario("hung_socket", (Arm("hang"),)),
    Scenario("1_byte_a_second", (Arm("drip"),)),
    Scenario("endless_body", (Arm("endless", arguments={"interval_s": 0}),)),
    Scenario("gzip_bomb", (Arm("gzip_bomb"),), expects="given_up"),
    Scenario("redirect_to_another_host", (Arm("redirect"),), expects="given_up"),
    Scenario("garbage_json", (Arm("garbage"),)),
    Scenario("other_text_with_200", (Arm("not_json"),)),
    Scenario("html_with_200", (Arm("html"),)),
    Scenario("truncated_json", (Arm("truncated"),)),
    Scenario("error_in_200", (Arm("error_in_200"),)),
    Scenario("throttled_in_200", (Arm("error_in_200", arguments={"body": _THROTTLED_BODY}),)),
    Scenario("quota_spent_text", (Arm("quota_spent"),)),
    Scenario("short_page", (Arm("short_page", 1),)),
    Scenario("short_page_for_ever", (Arm("short_page", None, {"rows": 100}),), expects="reported"),
    Scenario("missing_row", (Arm("missing_row"),)),
    Scenario("empty_page", (Arm("empty_page", 1),)),
    Scenario("empty_page_for_ever", (Arm("empty_page", None),), expects="reported"),
    Scenario("repeated_page", (Arm("repeated_page", 1),)),
    Scenario("out_of_order_page", (Arm("out_of_order", None),)),
    Scenario("wrong_content_type", (Arm("wrong_content_type", None),)),
    Scenario("clock_behind", (_BEHIND,)),
    Scenario("clock_ahead", (Arm("clock_skew", None, {"offset_s": 300}),)),
    # Retry-After as a date, by a clock that is five minutes behind ours: by ours it is long over.
    Scenario("429_by_a_clock_behind", (_BEHIND, *_status(429, retry_after_date_s=3, in_flight_s=_IN_FLIGHT_S))),
)
