"""The commands that print what is stored: bars, trades, quotes, books, news, observations, posts, actions.

Deliberately not here: how it is printed (commands/rows.py). Invariant: polars is loaded by these commands alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.orders import Format, Order
from commands.terminal import Instruments, Interval, Provider, named_here
from ingest.market.records import Dataset

Start = Annotated[str | None, typer.Option(help="first moment wanted: 2024-01-01, 2024-01-01T09:30Z")]
End = Annotated[str | None, typer.Option(help="first moment not wanted any more")]
Last = Annotated[int | None, typer.Option(min=1, max=10**12, help="the newest rows only: so many of each instrument")]
Final = Annotated[bool, typer.Option("--final", help="only bars that had ended when they were observed")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="what was known at this moment, corrections left out")]
Fallback = Annotated[
    str | None,
    typer.Option(
        metavar="PROVIDER[,PROVIDER]",
        help="whose final bars stand in where the provider has none; a column says whose each is",
    ),
]
Form = Annotated[
    Format | None,
    typer.Option("--format", help="json: an object a line. Default: what --out's name ends with, else a table"),
]
Out = Annotated[Path | None, typer.Option("--out", help="write to this file instead of stdout")]

data = typer.Typer()


@data.command("bars")
def show_bars(
    provider: Provider,
    instruments: Instruments,
    interval: Interval = None,
    start: Start = None,
    end: End = None,
    last: Last = None,
    final: Final = False,
    as_of: AsOf = None,
    fallback: Fallback = None,
    form: Form = None,
    file: Out = None,
) -> None:
    """Print stored bars; ts is a bar's open, in UTC. A table shows the newest 20."""
    others = [named_here(name.strip()) for name in fallback.split(",")] if fallback else []
    _print(Order(provider, "bars", instruments, interval, start, end, last, form, file, final, as_of, others))


def _declare(dataset: Dataset, summary: str) -> None:
    """Declare the command of a dataset without intervals."""

    @data.command(dataset, help=f"{summary} A table shows the newest 20.")
    def show(
        provider: Provider,
        instruments: Instruments,
        start: Start = None,
        end: End = None,
        last: Last = None,
        as_of: AsOf = None,
        form: Form = None,
        file: Out = None,
    ) -> None:
        _print(Order(provider, dataset, instruments, None, start, end, last, form, file, as_of=as_of))


_declare("trades", "Print stored trades; side is the taker's.")
_declare("quotes", "Print stored quotes: best bid and ask.")
_declare("books", "Print stored order books: the best level of each and how many there are.")
_declare("news", "Print stored articles.")
_declare("observations", "Print stored values of economic series and reference rates, each vintage of them.")
_declare("posts", "Print stored posts with their public counts.")
_declare("actions", "Print stored splits and dividends; ts is the ex-date.")


def _print(order: Order) -> None:
    from commands.rows import write_rows  # noqa: PLC0415 - loads polars

    write_rows(order)
