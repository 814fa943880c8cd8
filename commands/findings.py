"""The command about findings: what quality rules object to.

Deliberately not here: what the rules say (ingest/market/quality.py), gaps (gaps.py). Invariant: it only reads.
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.terminal import Json, err, one_of, open_context, out, print_json, row_of
from ingest import providers
from ingest.market.records import DATASETS
from ingest.market.symbols import validate
from ingest.pipeline.listed import list_findings
from local.shown import findings_table

_SEVERITIES = ("reject", "warn")

findings = typer.Typer()


@findings.command("findings")
def list_newest(
    provider: Annotated[str | None, typer.Option(help="a provider's name")] = None,
    dataset: Annotated[str | None, typer.Option(help=" | ".join(DATASETS))] = None,
    instrument: Annotated[str | None, typer.Option(help="BTC-USDT, AAPL, BRK.B ..")] = None,
    rule: Annotated[str | None, typer.Option(help="the rule that was broken")] = None,
    severity: Annotated[str | None, typer.Option(help="reject (not stored) or warn (stored)")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="so many of the newest")] = 50,
    as_json: Json = False,
) -> None:
    """List what quality rules object to, newest first."""
    where = {
        "provider": None if provider is None else providers.get(provider).facts.name,
        "dataset": one_of("dataset", dataset, DATASETS),
        "instrument": None if instrument is None else validate(instrument),
        "rule": rule,
        "severity": one_of("severity", severity, _SEVERITIES),
    }
    asked = {name: value for name, value in where.items() if value is not None}
    with open_context().sessions() as session:
        rows = [row_of(one) for one in list_findings(session, asked, limit=limit)]
    if as_json:
        print_json(rows)
    elif rows:
        out.print(findings_table(rows))
    else:
        err.print("no such findings")
