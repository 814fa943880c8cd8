"""Read and print the moments of examples and of their rows: ISO, UTC, counted in nanoseconds since 1970.

Deliberately not here: how a provider prints a time. Invariant: exact, no float in between.
"""

from datetime import UTC, datetime

NS_PER_S, NS_PER_MS, NS_PER_US = 1_000_000_000, 1_000_000, 1_000


def ns_of(moment: str) -> int:
    """Return an ISO moment of at most microseconds."""
    time = datetime.fromisoformat(moment)
    return int(time.replace(microsecond=0).timestamp()) * NS_PER_S + time.microsecond * NS_PER_US


def iso(time_ns: int) -> str:
    """Print a time with as many digits after the second as it has: none, three, six or nine."""
    second, fraction = datetime.fromtimestamp(time_ns // NS_PER_S, UTC), f"{time_ns % NS_PER_S:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{second:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"


def opens_ms(start: str, end: str, width_ms: int) -> range:
    """Return when the bars of a width open that open in the half-open window."""
    first, last = (-(-ns_of(moment) // NS_PER_MS // width_ms) * width_ms for moment in (start, end))
    return range(first, last, width_ms)
