"""The command that brings rows of files into the tables.

Deliberately not here: how they are read and written (ingest/pipeline/imports.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.terminal import FINDINGS, OK, Dataset, Interval, Json, Provider, err, open_context, out, print_json
from ingest.market.times import Epoch
from ingest.pipeline.calls import WITHOUT_HISTORY
from ingest.settings import settings
from ingest.telemetry import setup_logs

if TYPE_CHECKING:
    from ingest.pipeline.imports import Imported

_SHOWN_NAMES = 5
imports = typer.Typer()


def _pairs(text: str) -> dict[str, str]:
    pairs = [one.partition("=") for one in text.split(",")]
    if not all(ours.strip() and theirs.strip() for ours, _, theirs in pairs):
        raise typer.BadParameter(f"{text!r} is not like ts=time,open=o")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


Columns = Annotated[
    dict[str, str] | None,
    typer.Option(parser=_pairs, metavar="ts=time,open=o", help="our name = the file's, where these differ"),
]


@imports.command("import")
def run_import(
    provider: Provider,
    dataset: Dataset,
    files: Annotated[list[Path], typer.Argument(help="CSV with a header or Parquet, as the data commands write them")],
    interval: Interval = None,
    instrument: Annotated[str | None, typer.Option(help="whose rows they are, where no column says so")] = None,
    columns: Columns = None,
    timezone: Annotated[str | None, typer.Option(help="of times without an offset: UTC, America/New_York ..")] = None,
    epoch: Annotated[Epoch | None, typer.Option(help="unit of times that are numbers since 1970")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read and check, write nothing")] = False,
    as_json: Json = False,
) -> None:
    """Bring rows of CSV or Parquet files into the tables, `imported` until the provider has said the same.

    Exits with 3 when rows were refused. What the provider has answered is never overwritten; repeating changes nothing.
    """
    from ingest.pipeline.imports import Form, import_file, unasked  # noqa: PLC0415 - loads polars
    from ingest.pipeline.imports_times import Clock  # noqa: PLC0415 - the same

    setup_logs(settings().tickfarm_log_format, level=settings().log_level("warning"))  # stdout is for the answer
    form = Form(columns or {}, instrument, Clock(timezone, epoch))
    context, found, left = open_context(), [], dict[str, datetime]()
    for file in files:
        found.append(import_file(context, file, provider, dataset, interval=interval, form=form, dry_run=dry_run))
        if not as_json:
            _print(found[-1], dry_run=dry_run)
        if not dry_run:
            spans = found[-1].series
            for name in unasked(context, found[-1]):
                left[name] = min(spans[name].first, left.get(name, spans[name].first))
    if as_json:
        print_json({"dry_run": dry_run, "files": [_document(one) for one in found], "not_asked_for": left})
    elif any(one.series for one in found) and not dry_run:
        err.print(_how_to_verify(provider, dataset, interval, left), soft_wrap=True)
    raise typer.Exit(FINDINGS if any(one.broken for one in found) else OK)


def _document(one: Imported) -> dict[str, Any]:
    return asdict(one) | {"present": one.present}


def _print(one: Imported, *, dry_run: bool) -> None:
    """Print what came of a file: its rows on stdout, what is to be known of them on stderr."""
    written = f"{one.inserted:,} new, {one.updated:,} changed, {one.present:,} there already, "
    is_or_would = "would be " if dry_run else ""
    out.print(f"{one.file}: {one.rows:,} rows; {'' if dry_run else written}{one.refused:,} {is_or_would}refused")
    for rule, broken in one.broken.items():
        err.print(f"{rule} ({broken.severity}): {broken.rows:,} rows, first: {broken.first}", soft_wrap=True)
    if one.ignored:
        err.print(f"columns that are not imported: {', '.join(one.ignored)}", soft_wrap=True)
    if one.floats:
        err.print(f"floats, taken as their shortest decimals: {', '.join(one.floats)}", soft_wrap=True)


def _how_to_verify(provider: str, dataset: str, interval: str | None, left: dict[str, datetime]) -> str:
    if dataset in WITHOUT_HISTORY:
        return f"nobody can be asked for {dataset} of the past: these stay unproven, as `imported`"
    if not left:
        return "the next check of gaps asks the provider for these days, which are `imported` until then"
    names: Sequence[str] = sorted(left)
    shown = " ".join(names[:_SHOWN_NAMES]) + (" .." if len(names) > _SHOWN_NAMES else "")
    width = f" --interval {interval}" if interval else ""
    since = f" --since {min(left.values()):%Y-%m-%d}"
    return (
        "these days are `imported`: no answer has proven them. To have the provider asked for them:"
        f" tickfarm follow {provider} {dataset} {shown}{width}{since}"
    )
