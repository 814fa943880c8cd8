"""Time-series datasets: observations of one column of `/datasets/{database}/{code}/data.json`.

An instrument is `DATABASE.CODE.COLUMN`, all three of them: `LBMA.GOLD.USDAM` is the column "USD (AM)" of LBMA/GOLD,
`ODA.POILWTI.USD.VALUE` the column "Value" of ODA/POILWTI_USD. The column is its name in capitals without anything but
letters and digits, since positions change; a dot within the code stands for an underscore.

Deliberately not here: `collapse` and `transform` (they make other values), metadata, tables (../nasdaq_data_link.py).
Invariant: a value keeps the digits it was sent with; a null is a missing value that is kept.

Source: https://docs.data.nasdaq.com/docs/in-depth-usage, https://github.com/Nasdaq/data-link-python 1.0.4 (get.py),
autumn 2026.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, UnknownName
from ingest.market.records import Parsed
from ingest.market.symbols import is_instrument, validate
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.contract import Query
from ingest.wire import Answer, Request

NAME = "nasdaq_data_link"
FOLDER = "/datasets/"
#: A poll: revisions come without a vintage and in the newest rows mostly, and an answer of a hundred is 5 KB.
NEWEST_ROWS = 100

_PARTS = 3
_NATIVE = re.compile(r"([A-Z0-9]+)/([A-Z0-9]+(?:_[A-Z0-9]+)*)/([A-Z0-9]+)", re.ASCII)
_NAMES = re.compile(rb'"column_names"\s*:\s*(?=\[)')
#: The longest list of names that is looked through: a hundred columns.
_NAMES_BYTES = 20_000
#: Numbers are read as texts too, so a text is not a date yet.
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ROW_SHAPE = "expected a list with a date, and a number or null under the column that was asked for"


def is_series(instrument: str) -> bool:
    """Say whether a name is one of a dataset's column rather than a share's."""
    return instrument.count(".") >= _PARTS - 1


def native_of(instrument: str) -> str:
    """Return `database/code/column`. Raises FixRequest for a name without all three."""
    parts = validate(instrument).split(".")
    if len(parts) < _PARTS or "-" in instrument:
        said = (
            f"{NAME} has observations of a dataset's column, like LBMA.GOLD.USDAM (database, code, and the column's "
            f"name in capitals without blanks and signs); found {instrument!r}"
        )
        raise FixRequest(said, provider=NAME, instrument=instrument)
    return f"{parts[0]}/{'_'.join(parts[1:-1])}/{parts[-1]}"


def instrument_of(native: str) -> str | None:
    """Return the instrument of `database/code/column`, None where it is not such."""
    name = native.replace("/", ".").replace("_", ".")
    return name if _NATIVE.fullmatch(native) and is_instrument(name) else None


def build(query: Query) -> list[Request]:
    """Return one request for each column, ascending; without `start` one for the newest rows, descending.

    None for a window without a midnight in it. Raises FixRequest for a start without an end.
    """
    if query.start is None:
        bounds = [("order", "desc"), ("limit", str(NEWEST_ROWS))]
    elif query.end is None:
        raise FixRequest(f"{NAME}: a window needs an end as well as a start", provider=NAME)
    else:
        first, last = first_date(query.start), first_date(query.end) - timedelta(days=1)
        if first > last:
            return []
        bounds = [("start_date", first.isoformat()), ("end_date", last.isoformat()), ("order", "asc")]
    span = (None, None) if query.start is None else (query.start, query.end)
    natives = {native_of(instrument): instrument for instrument in query.instruments}
    return [
        Request(f"{FOLDER}{native.rpartition('/')[0]}/data.json", tuple(bounds), (), (instrument,), 1, *span)
        for native, instrument in natives.items()
    ]


def unknown_column(answer: Answer) -> UnknownName | None:
    """Return the error of an answer that has columns, but not the one that its request is for."""
    names = _NAMES.search(answer.body)
    if names is None or not answer.request.path.startswith(FOLDER) or answers.only_instrument(answer) is None:
        return None
    text = answer.body[names.end() : names.end() + _NAMES_BYTES].decode(errors="replace")
    try:
        columns, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return None if _places(columns, answer.request.instruments[0]) else unknown(answer)


def unknown(answer: Answer) -> UnknownName:
    """Return the error for a dataset or a column that does not exist. It quotes nothing of the body."""
    instrument = answer.request.instruments[0]
    accepted = ("DATABASE.CODE.COLUMN as in the archived answer or on data.nasdaq.com",)
    error = UnknownName("instrument", instrument, accepted, provider=NAME)
    error.instrument, error.status = instrument, answer.status
    return error


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the column's rows in the answer's order. Raises BadData if it is no dataset or lacks the column."""
    instrument = (answer.request.instruments or query.instruments)[0]
    page = answers.load(NAME, answer, numbers_as_text=True)
    dataset = page.get("dataset_data") if type(page) is dict else None
    names, data = (dataset.get(part) if type(dataset) is dict else None for part in ("column_names", "data"))
    places = _places(names, instrument)
    if type(data) is not list or len(places) != 1:
        said = f"{NAME} sent a page that can't be used: expected dataset_data with data and the asked column, once"
        raise BadData(said, rule="unparsable_page", provider=NAME, status=answer.status)
    rows, rejects = answers.sound_rows(data, lambda row: _cells(row, places[0]), _ROW_SHAPE, instrument)
    columns: dict[str, list[Any]] = {
        "instrument": [instrument] * len(rows),
        "ts": [row[0] for row in rows],
        # Revised values come without a vintage.
        "vintage": [None] * len(rows),
        "value": [row[1] for row in rows],
    }
    return Parsed(columns, "date", rejects)


def _places(names: Any, instrument: str) -> Sequence[int]:
    """Return where the instrument's column stands; the first column is the date."""
    if type(names) is not list or any(type(name) is not str for name in names):
        return []
    wanted = instrument.rpartition(".")[2]
    return [place for place, name in enumerate(names) if place and re.sub(r"[^A-Z0-9]", "", name.upper()) == wanted]


def _cells(row: Any, place: int) -> tuple[str, str | None] | None:
    if type(row) is not list or len(row) <= place or type(row[0]) is not str or not _DATE.fullmatch(row[0]):
        return None
    return (row[0], row[place]) if type(row[place]) in answers.TEXT_OR_NULL else None
