"""Conformance: the whole grid against a sandbox and embedded servers, as figures.

Deliberately not here: the cells and how one is played (conformance_play.py, which the tests play too). No rates.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import structlog

from benchmarks.conformance_play import Result, cells, play
from benchmarks.sandboxed import sandboxed
from benchmarks.stage import Stage
from ingest.pipeline.context import Context
from local.farm_processes import sandbox_settings
from models import Base

NAME = "conformance"
HELP = "each dataset of each provider copied exactly, each of its documented errors met as it must be"


def add_options(options: argparse.ArgumentParser) -> None:
    """Add the benchmark's own options."""
    options.add_argument("--only", nargs="+", metavar="PROVIDER", help="these providers' cells only")


def is_bad(figures: Mapping[str, Any]) -> bool:
    """Say whether a cell is not green."""
    return bool(figures["green"] != figures["all"])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Play every cell and return the grid."""
    wanted = [cell for cell in cells() if not options.only or cell.provider in options.only]
    os.environ |= sandbox_settings()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # stdout is for figures
    with sandboxed() as (ground, sandbox):
        changes = {"tickfarm_sandbox_url": sandbox.url, "tickfarm_pace": False, "tickfarm_connections": 8}
        settings = ground.settings().model_copy(update=changes)
        results = []
        with closing(Context(settings, name="conformance")) as context:
            for cell in wanted:
                results.append(play(cell, context, sandbox, lambda: _empty(ground)))
                print(_line(results[-1]), file=sys.stderr)
    return _figures(results)


def _empty(ground: Stage) -> None:
    with closing(ground.database()) as connection, connection.cursor() as cursor:
        cursor.execute("; ".join(f"DELETE FROM {table}" for table in Base.metadata.tables))


def _line(result: Result) -> str:
    return (
        f"{'ok   ' if not result.wrong else 'WRONG'} {result.cell.name} ({result.rows} rows) {'; '.join(result.wrong)}"
    )


def _figures(results: list[Result]) -> dict[str, Any]:
    every, green = Counter[str](), Counter[str]()
    for one in results:
        every[one.cell.provider] += 1
        green[one.cell.provider] += not one.wrong
    return {
        "green": sum(green.values()),
        "all": sum(every.values()),
        "rows": sum(one.rows for one in results),
        "providers": {name: f"{green[name]} of {every[name]}" for name in every},
        "wrong": {one.cell.name: "; ".join(one.wrong) for one in results if one.wrong},
    }
