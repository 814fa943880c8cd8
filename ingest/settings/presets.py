"""Presets, and what can be set for a provider by itself: `TICKFARM_PROVIDERS__<NAME>__<FIELD>`.

Deliberately not here: the waits and counts of retries (ingest/transport/retry.py has a policy for each preset), and
what a provider allows (its own file). Invariant: a pace is a share of what the provider states, never more than all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest.wire import Limit

Preset = Literal["conservative", "standard", "aggressive"]
#: A batch ends before its task is told to (celeryconfig's soft time limit of 75 s), with time left for the commit.
LONGEST_TIMEOUT_S: Final = 60.0
#: One request: a provider that says nothing for this long is away, and its connection is needed elsewhere.
LONGEST_REQUEST_S: Final = 30.0
#: Connections of one process to one host: what browsers and aiohttp's users think of as many; HTTP/2 needs a few.
MOST_PER_HOST: Final = 100


@dataclass(frozen=True, slots=True)
class PresetNumbers:
    """What a preset says beside its retries: `timeout_s` for a batch, `request_timeout_s` for one request of it, and
    `pace` as a share of each stated limit.
    """

    timeout_s: float
    request_timeout_s: float
    pace: float


#: Conservative leaves half of each limit to others on the same address or key, and waits longest for slow answers.
#: Aggressive hangs on a slow answer for half as long and asks again sooner; a stated limit can't be raised by it.
PRESETS: Final[Mapping[Preset, PresetNumbers]] = {
    "conservative": PresetNumbers(timeout_s=60.0, request_timeout_s=30.0, pace=0.5),
    "standard": PresetNumbers(timeout_s=30.0, request_timeout_s=10.0, pace=1.0),
    "aggressive": PresetNumbers(timeout_s=15.0, request_timeout_s=5.0, pace=1.0),
}


class ProviderSettings(BaseModel):
    """What is set for one provider; None leaves it to the preset (or, for an address, to the provider's file)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    preset: Preset | None = None
    timeout_s: float | None = Field(default=None, gt=0, le=LONGEST_TIMEOUT_S)
    request_timeout_s: float | None = Field(default=None, gt=0, le=LONGEST_REQUEST_S)
    connections: int | None = Field(default=None, ge=1, le=MOST_PER_HOST)
    retries: int | None = Field(default=None, ge=0, le=1000)
    retry_base_s: float | None = Field(default=None, gt=0, le=3600)
    retry_cap_s: float | None = Field(default=None, gt=0, le=86_400)
    pace: float | None = None
    #: a plan that is paid for, as the provider's file names it
    plan: str | None = None
    #: what the plan that is paid for allows, in place of what is stated: `600/60s, 5000 weight/1m, 100000/1d`
    limits: str | None = None
    breaker_open_s: float | None = Field(default=None, gt=0, le=3600)
    breaker_open_cap_s: float | None = Field(default=None, gt=0, le=86_400)
    #: one address, or several in the order in which they are tried
    base_url: str | None = None
    enabled: bool = True
    #: its terms allow that one farm uses more than one key
    several_keys: bool = False

    @field_validator("pace")
    @classmethod
    def _is_a_share(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value <= 1:
            raise ValueError(
                "expected a share over 0 and up to 1: a provider's stated limit can be lowered and never raised"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _are_addresses(cls, value: str | None) -> str | None:
        return None if value is None else ",".join(web_address(one.strip()) for one in value.split(","))

    @field_validator("limits")
    @classmethod
    def _are_limits(cls, value: str | None) -> str | None:
        if value is not None:
            parse_limits(value, "")
        return value

    @property
    def base_urls(self) -> tuple[str, ...]:
        """Return the addresses that are set for it, the first one first."""
        return tuple(self.base_url.split(",")) if self.base_url else ()


_LIMIT = re.compile(r"([1-9][0-9]{0,11})\s*(requests|weight)?\s*/\s*([1-9][0-9]{0,8})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_limits(text: str, source: str) -> tuple[Limit, ...]:
    """Return the limits of a text like `600/60s, 5000 weight/1m`. Raises ValueError saying what is expected."""
    found = []
    for one in text.split(","):
        match = _LIMIT.fullmatch(one.strip())
        if match is None:
            raise ValueError(f"expected limits like 600/60s, 5000 weight/1m, 100000/1d; given: {one.strip()!r}")
        amount, unit, number, span = match.groups()
        per_s = int(number) * _SECONDS[span]
        found.append(Limit(int(amount), per_s, source, "weight" if unit == "weight" else "requests"))
    return tuple(found)


def web_address(value: str) -> str:
    """Return a base address without its last slash. Raises ValueError for one that holds more.

    What belongs to single requests has no place in it, nor has a password, which logs would show.
    """
    wanted = "expected an address like https://api.example.com, without user, password, ? and #"
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(wanted) from None
    if not is_one or "@" in parts.netloc or not value.isprintable() or set(value) & set("?# "):
        raise ValueError(wanted)
    return value.rstrip("/")
