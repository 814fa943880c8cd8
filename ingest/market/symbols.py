"""The instrument grammar: `BTC-USDT` is a pair, `AAPL`, `BRK.B` and `UNRATE` are single names.

Deliberately not here: a provider's native symbols (its own file). Invariant: a hyphen always means a pair.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from ingest.errors import FixRequest, UnknownName

#: Longer than any listed name; keeps what people paste out of URLs and keys.
MAX_LENGTH = 40
_SINGLE = re.compile(r"[A-Z0-9]+(?:\.[A-Z0-9]+)*", re.ASCII)
_PAIR = re.compile(r"[A-Z0-9]+-[A-Z0-9]+", re.ASCII)
_GRAMMAR = (
    "capital letters and digits: a pair with a hyphen (BTC-USDT, EUR-USD), anything else without (AAPL, BRK.B, UNRATE)"
)
_NEAR = 5


def is_instrument(text: str) -> bool:
    """Say whether `text` follows the grammar; whether it is listed anywhere is another question."""
    return len(text) <= MAX_LENGTH and bool(_SINGLE.fullmatch(text) or _PAIR.fullmatch(text))


def is_pair(instrument: str) -> bool:
    """Say whether the instrument is a pair."""
    return "-" in instrument


def legs(instrument: str) -> tuple[str, str]:
    """Return a pair's base and quote. Raises FixRequest for a single name."""
    if not _PAIR.fullmatch(instrument):
        raise FixRequest(f"not a pair: {instrument!r}; expected one like BTC-USDT", instrument=instrument)
    base, _, quote = instrument.partition("-")
    return base, quote


def validate(text: str, catalogue: Iterable[str] | None = None) -> str:
    """Return the instrument that `text` spells, spaces around it ignored.

    Raises FixRequest if it breaks the grammar (with the spelling probably meant), and, where a catalogue is given,
    UnknownName if it is not in it, with the nearest names that are.
    """
    name = text.strip()
    if not is_instrument(name):
        raise FixRequest(
            f"not an instrument: {text!r}{_meant(name)}; expected {_GRAMMAR}", instrument=text[:MAX_LENGTH]
        )
    if catalogue is None:
        return name
    listed = frozenset(catalogue)
    if name not in listed:
        near = get_close_matches(name, sorted(listed), n=_NEAR, cutoff=0.5)
        raise UnknownName("instrument", name, near or sorted(listed)[:_NEAR])
    return name


def _meant(name: str) -> str:
    """Guess at the usual slips: lower case, and `/`, `_` or `:` between the legs of a pair."""
    guess = re.sub(r"[/_:]", "-", name.upper())
    return f" (did you mean {guess}?)" if is_instrument(guess) else ""
