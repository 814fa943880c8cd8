"""`python -m benchmarks NAME [--json]`: run one benchmark and print its figures.

Deliberately not here: what is measured. Invariant: standard output carries the figures and nothing else, so that
`--json` can be piped.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import (
    api,
    as_of,
    backfill,
    budget,
    chaos,
    conformance,
    coverage,
    faults,
    fetch,
    freshness,
    importing,
    ingest,
    latency,
    mutation,
    overhead,
    parse,
    scale,
    schedule,
)

_ALL = (
    ingest,
    latency,
    freshness,
    schedule,
    fetch,
    parse,
    scale,
    overhead,
    budget,
    faults,
    backfill,
    chaos,
    conformance,
    coverage,
    mutation,
    as_of,
    importing,
    api,
)


def main() -> int:
    """Run the benchmark that was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the farm on this machine.")
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for module in _ALL:
        options = names.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        options.add_argument("--json", action="store_true", help="print one JSON object")
        module.add_options(options)
        options.set_defaults(run=module.run, is_bad=getattr(module, "is_bad", lambda figures: False))
    chosen = parser.parse_args()
    # What was started ends with this process, but its folder is deleted only on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    figures = chosen.run(chosen)
    print(json.dumps(figures, indent=1) if chosen.json else as_table(figures))
    return int(chosen.is_bad(figures))


def as_table(figures: Mapping[str, Any], indent: str = "") -> str:
    """Return the figures as aligned lines, nested ones below their name."""
    width = max((len(name) for name in figures), default=0)
    lines = []
    for name, value in figures.items():
        match value:
            case Mapping():
                lines += [f"{indent}{name}", as_table(value, f"{indent}  ")]
            case int() | float():
                lines.append(f"{indent}{name:<{width}}  {value:,}")
            case _:
                lines.append(f"{indent}{name:<{width}}  {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
