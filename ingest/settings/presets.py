"""Presets, and what can be set for a provider by itself: `TICKFARM_PROVIDERS__<NAME>__<FIELD>`.

Deliberately not here: the waits and counts of retries (ingest/transport/retry.py has a policy for each preset), and
what a provider allows (its own file). Invariant: a pace is a share of what the provider states, never more than all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

Preset = Literal["conservative", "standard", "aggressive"]
#: A batch ends before its task is told to (celeryconfig's soft time limit of 75 s), with time left for the commit.
LONGEST_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class PresetNumbers:
    """What a preset says beside its retries: `timeout_s` for a batch, `pace` as a share of each stated limit."""

    timeout_s: float
    pace: float


#: Conservative leaves half of each limit to others on the same address or key, and waits longest for slow answers.
#: Aggressive hangs on a slow answer for half as long and asks again sooner; a stated limit can't be raised by it.
PRESETS: Final[Mapping[Preset, PresetNumbers]] = {
    "conservative": PresetNumbers(timeout_s=60.0, pace=0.5),
    "standard": PresetNumbers(timeout_s=30.0, pace=1.0),
    "aggressive": PresetNumbers(timeout_s=15.0, pace=1.0),
}


class ProviderSettings(BaseModel):
    """What is set for one provider; None leaves it to the preset (or, for an address, to the provider's file)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    preset: Preset | None = None
    timeout_s: float | None = Field(default=None, gt=0, le=LONGEST_TIMEOUT_S)
    retries: int | None = Field(default=None, ge=0, le=1000)
    retry_base_s: float | None = Field(default=None, gt=0, le=3600)
    retry_cap_s: float | None = Field(default=None, gt=0, le=86_400)
    pace: float | None = None
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
    def _is_an_address(cls, value: str | None) -> str | None:
        return None if value is None else web_address(value)


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
