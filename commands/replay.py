"""The command that reads archived answers once more and says what would be stored otherwise.

Deliberately not here: how that is found out (ingest/pipeline/replay.py), and fetching anything.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.terminal import FINDINGS, Dataset, Interval, Json, Provider, err, open_context, out, print_json
from ingest import providers
from ingest.market.symbols import validate
from ingest.market.times import parse_time
from ingest.pipeline.calls import check_dataset, check_interval
from ingest.settings import settings
from ingest.telemetry import setup_logs
from local.shown_replay import differences_table

if TYPE_CHECKING:
    from ingest.pipeline.replay import Replay

#: So many differing rows fit a terminal; JSON has up to 10,000.
TABLE_ROWS = 20

replay = typer.Typer()


@replay.command("replay")
def run_replay(
    provider: Provider,
    dataset: Dataset,
    start: Annotated[str, typer.Option(help="first moment: 2024-01-01, 2024-01-01T09:30Z")],
    end: Annotated[str, typer.Option(help="first moment not wanted any more")],
    instruments: Annotated[list[str] | None, typer.Argument(help="BTC-USDT, AAPL ..; all if none is named")] = None,
    interval: Interval = None,
    apply: Annotated[bool, typer.Option("--apply", help="store what differs; what was observed later stays")] = False,
    as_json: Json = False,
) -> None:
    """Read a window's archived answers anew, without fetching, and say what would differ from what is stored.

    Exits with 3 when something differs (and was not applied), else with 0.
    """
    from ingest.pipeline.replay import Window, replay  # noqa: PLC0415 - loads polars

    setup_logs(settings().tickfarm_log_format, level=settings().log_level("warning"))  # stdout is for the answer
    facts = providers.get(provider).facts
    checked = check_dataset(facts, dataset)
    window = Window(
        provider,
        checked,
        tuple(validate(one) for one in instruments or ()),
        check_interval(facts, checked, interval),
        parse_time(start),
        parse_time(end),
    )
    found = replay(open_context(), window, apply=apply)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)
    if found.differs and not apply:
        sys.exit(FINDINGS)


def _document(found: Replay) -> dict[str, Any]:
    compared = found.comparison
    return {
        "payloads": found.payloads,
        "used": found.used,
        "missing": found.missing,
        "unreadable": found.unreadable,
        "findings": found.findings,
        "rows": {name: getattr(compared, name) for name in ("new", "differing", "identical", "superseded")},
        "only_stored": compared.only_stored,
        "differences": _rows(found),
        "applied": None if found.written is None else asdict(found.written),
    }


def _rows(found: Replay) -> list[dict[str, Any]]:
    return [
        {"instrument": found.series[one.series_id], "ts": one.ts, "key": one.key, "old": one.old, "new": one.new}
        for one in found.comparison.rows
    ]


def _print(found: Replay) -> None:
    compared = found.comparison
    out.print(
        f"rows: {compared.new:,} new, {compared.differing:,} differ, {compared.identical:,} the same,"
        f" {compared.superseded:,} observed anew since, {compared.only_stored:,} stored without an archived answer",
        soft_wrap=True,
    )
    out.print(f"payloads: {found.payloads:,} read, {found.used:,} of this window, {len(found.missing):,} missing")
    shown = _rows(found)[:TABLE_ROWS]
    if shown:
        out.print(differences_table(shown))
    if compared.new + compared.differing > len(shown):
        err.print(f"the first {len(shown)} of {compared.new + compared.differing:,}; --json has more")
    for key in found.unreadable[:TABLE_ROWS]:
        err.print(f"{key} can't be read: its call was not kept, and its job is gone", soft_wrap=True)
    if found.findings:
        err.print(f"{found.findings:,} findings in these payloads")
    if found.written is not None:
        err.print(f"stored: {found.written.inserted:,} rows inserted, {found.written.updated:,} changed")
    elif found.differs:
        err.print("nothing was stored: --apply does it")
