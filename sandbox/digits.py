"""Print the synthetic market's whole ticks and lot steps exactly, as most providers do: with their own decimals.

Deliberately not here: how many decimals a provider prints at least (`dialects/`). Invariant: no digit is lost.
"""


def printed(units: int, decimals: int, least: int) -> str:
    """Print a number of the last decimal's units exactly, with at least `least` decimals."""
    whole, part = divmod(units, 10**decimals)
    fraction = f"{part:0{decimals}d}".ljust(least, "0") if decimals else "0" * least
    return f"{whole}.{fraction}" if fraction else str(whole)


def json_number(units: int, decimals: int) -> str:
    """Print the same as a JSON number: no zeros at its end, no point in a whole one."""
    exact = printed(units, decimals, 0)
    return exact.rstrip("0").rstrip(".") if "." in exact else exact
