"""Read the parameters of a Binance request, or refuse them in Binance's words.

Deliberately not here: what the parameters are used for (`dialects/binance.py`).
Invariant: a parameter that is returned is valid; everything else raises `RefusalError`.
Source: binance-spot-api-docs errors.md and rest-api.md, state of 2026-07-21.
"""

import json
import re
from collections.abc import Mapping

from sandbox.binance_instruments import SYMBOLS
from sandbox.kline_grid import INTERVAL_WIDTHS_MS

# "Default: 500; Maximum: 1000": klines and trades alike.
MAX_ROWS = 1000
DEFAULT_ROWS = 500
# "startTime and endTime ... can be sent in milliseconds or microseconds": 14 digits of ms would be the year 5138.
_FIRST_MICROSECOND_TIME = 10**14

_SYMBOL = re.compile(r"[\w\-._]{1,50}")
_ZONE = re.compile(r"([+-]?)(\d{1,2})(?::(\d{2}))?")


class RefusalError(Exception):
    """A request that Binance answers with HTTP 400 and `{"code":..,"msg":..}`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refuse_unknown(query: Mapping[str, str], known: frozenset[str]) -> None:
    """Raise -1104 where a parameter was sent that the endpoint doesn't read."""
    read = len(known.intersection(query))
    if read != len(query):
        text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(query)}'."
        raise RefusalError(-1104, text)


def mandatory(query: Mapping[str, str], name: str) -> str:
    value = query.get(name, "")
    if not value:
        raise RefusalError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return value


def symbol_of(text: str) -> str:
    """Return the symbol if it is listed; the spelling is upper case only."""
    if not _SYMBOL.fullmatch(text) or re.search("[a-z]", text):
        raise RefusalError(
            -1100, "Illegal characters found in parameter 'symbol'; legal range is '^[\\w\\-._&&[^a-z]]{1,50}$'."
        )
    if text not in SYMBOLS:
        raise RefusalError(-1121, "Invalid symbol.")
    return text


def symbols_of(query: Mapping[str, str]) -> str | list[str]:
    """Return one symbol for `symbol=`, a list for `symbols=["A","B"]`, and the list of all for neither."""
    if "symbol" in query and "symbols" in query:
        raise RefusalError(-1128, "Combination of optional parameters invalid.")
    if "symbol" in query:
        return symbol_of(mandatory(query, "symbol"))
    if "symbols" not in query:
        return list(SYMBOLS)
    try:
        names = json.loads(query["symbols"])
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise RefusalError(
            -1100, "Illegal characters found in parameter 'symbols'; legal range is a JSON array of symbols."
        )
    if len(set(names)) != len(names):
        raise RefusalError(-1151, "Symbol is present multiple times in the list.")
    return [symbol_of(name) for name in names]


def interval_of(query: Mapping[str, str]) -> str:
    interval = mandatory(query, "interval")
    if interval not in INTERVAL_WIDTHS_MS:
        raise RefusalError(-1120, "Invalid interval.")
    return interval


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise RefusalError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


def time_ms(query: Mapping[str, str], name: str) -> int | None:
    """Return a time in ms; microseconds are told by their size."""
    value = whole_number(query, name)
    return value // 1000 if value is not None and value >= _FIRST_MICROSECOND_TIME else value


def limit_of(query: Mapping[str, str], *, default: int = DEFAULT_ROWS, maximum: int = MAX_ROWS) -> int:
    """Return the number of rows asked for; more than the documented maximum is cut to it."""
    limit = whole_number(query, "limit")
    if limit is None:
        return default
    if limit == 0:
        raise RefusalError(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit, maximum)


def limit_as_sent(query: Mapping[str, str], *, default: int = DEFAULT_ROWS) -> int:
    """Return the limit before anything is refused, for what a request costs; the default where it is no number."""
    limit = query.get("limit", "")
    return int(limit) if re.fullmatch(r"[0-9]{1,20}", limit) else default


def refuse_other_status(query: Mapping[str, str]) -> None:
    """Raise -1220 where `symbolStatus` is not that of every symbol here: they are all trading."""
    status = query.get("symbolStatus", "TRADING")
    if status not in ("TRADING", "HALT", "BREAK"):
        raise RefusalError(-1130, "Data sent for parameter 'symbolStatus' is not valid.")
    if status != "TRADING":
        raise RefusalError(-1220, "The symbol's status does not match the requested symbolStatus.")


def zone_offset_ms(query: Mapping[str, str]) -> int:
    """Return the offset of `timeZone`: hours (`8`, `-1`) or hours and minutes (`05:45`), -12:00 to +14:00."""
    match = _ZONE.fullmatch(query.get("timeZone", "0"))
    minutes = 0 if match is None else int(match[2]) * 60 + int(match[3] or 0)
    if match is None or int(match[3] or 0) > 59:
        raise RefusalError(-1100, "Illegal characters found in parameter 'timeZone'.")
    if match[1] == "-":
        minutes = -minutes
    if not -12 * 60 <= minutes <= 14 * 60:
        raise RefusalError(-1130, "Data sent for parameter 'timeZone' is not valid.")
    return minutes * 60_000
