"""What the quality rules let through is what PostgreSQL's NUMERIC takes, tried on PostgreSQL itself."""

from __future__ import annotations

import io
import random
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
from sqlalchemy.engine import make_url

from ingest.market.quality import check
from ingest.market.records import Parsed
from ingest.pipeline.frames import batch, to_csv

NOW = datetime(2024, 6, 1, tzinfo=UTC)
EDGES = ["+1", "1.", ".5", "1E+5", "0E-8", "1e308", "5e-324", "0e999", "0e-9999", "-0", "00.1", "0" * 500 + "1"]


def test_any_text_that_passes_the_rules_is_copied_as_a_finite_number(servers):
    dice = random.Random(3)
    letters = "0123456789" * 2 + "eE+-._ xna,\n\"'"
    texts = EDGES + ["".join(dice.choices(letters, k=dice.randint(0, 7))) for _ in range(20_000)]
    size = len(texts)
    prices = {name: ["1"] * size for name in ("open", "high", "low", "close")}
    parsed = Parsed({"instrument": ["A"] * size, "ts": [*range(size)], **prices, "adjusted_close": texts}, "us")
    frame = batch([(0, parsed, NOW, NOW)], "bars").with_columns(ts=NOW)
    frame = frame.with_columns(instrument=frame["adjusted_close"])  # its own key, so that none is a repeat
    good, _ = check(frame, dataset="bars", interval=None, start=None, end=None, observed_at=NOW)
    assert good.height > 1000

    address = make_url(servers.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(address)) as session, session.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (ts timestamptz, v numeric CHECK (v > '-Infinity' AND v < 'Infinity'))")
        cursor.copy_expert("COPY t FROM STDIN (FORMAT csv)", io.BytesIO(to_csv(good, ["ts", "adjusted_close"])))
        cursor.execute("SELECT count(*), count(v), min(ts), max(ts) FROM t")
        assert cursor.fetchone() == (good.height, good.height, NOW, NOW)
