"""A quote of one side: the documented answer of a market without asks, in its table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from ingest.payloads import StoredAnswer
from ingest.providers import get
from ingest.providers.contract import Query
from ingest.wire import Answer

ONE_SIDE = Path(__file__).parent.parent / "payloads" / "polygon" / "last_quote_one_side.json"


def test_a_quote_without_an_ask_is_stored_with_the_side_that_is_there(farm):
    [request] = get("polygon").build(Query("quotes", ("AAPL",)))
    now = datetime.now(UTC)
    answer = Answer(replace(request, instruments=("AAPL",)), 200, {}, ONE_SIDE.read_bytes(), now, now)
    call = {"dataset": "quotes", "instruments": ["AAPL"]}
    farm.load_answers("polygon", call, StoredAnswer(answer))
    assert farm.select("SELECT bid, bid_size, ask, ask_size, last FROM quotes") == [
        (Decimal("102.7"), Decimal(60), None, None, None)
    ]
    assert farm.findings() == []
