"""`python -m benchmarks NAME [--json]`: run one benchmark and print its figures.

Deliberately not here: what is measured. Invariant: standard output carries the figures and nothing else, so that
`--json` can be piped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import ingest, latency


def main() -> int:
    """Run the benchmark that was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the farm on this machine.")
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for module in (ingest, latency):
        options = names.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        options.add_argument("--json", action="store_true", help="print one JSON object")
        module.add_options(options)
        options.set_defaults(run=module.run)
    chosen = parser.parse_args()
    figures = chosen.run(chosen)
    print(json.dumps(figures, indent=1) if chosen.json else as_table(figures))
    return 0


def as_table(figures: Mapping[str, Any], indent: str = "") -> str:
    """Return the figures as aligned lines, nested ones below their name."""
    width = max((len(name) for name in figures), default=0)
    lines = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}", as_table(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name:<{width}}  {value:,}" if isinstance(value, int | float) else _line(indent, width, name, value))
    return "\n".join(lines)


def _line(indent: str, width: int, name: str, value: Any) -> str:
    return f"{indent}{name:<{width}}  {value}"


if __name__ == "__main__":
    sys.exit(main())
