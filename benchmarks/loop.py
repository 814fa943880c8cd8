"""The loop a competent engineer would write by hand: one process, keep-alive, COPY to a temporary table, one upsert.

Deliberately not here: anything of the farm but its `bars` table: no queue, no checks, no archive, no ledger, no
retries. Invariant: idempotent and durable as the farm is: a commit that waits for the disk, every five pages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO

import requests
from psycopg2.extensions import connection as Connection  # noqa: N812 (a class with a lower-case name)

PAGES_A_COMMIT = 5
_COLUMNS = "series_id, ts, open, high, low, close, volume, quote_volume, trade_count, is_final, observed_at, job_id"
_MAKE = "CREATE TEMP TABLE IF NOT EXISTS incoming (LIKE bars) ON COMMIT DELETE ROWS"
_COPY = f"COPY incoming ({_COLUMNS}) FROM STDIN (FORMAT csv)"
_UPSERT = f"""
INSERT INTO bars ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming ORDER BY series_id, ts
ON CONFLICT (series_id, ts) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
    close = excluded.close, volume = excluded.volume, quote_volume = excluded.quote_volume,
    trade_count = excluded.trade_count, is_final = excluded.is_final, observed_at = excluded.observed_at,
    job_id = excluded.job_id
"""


def load(connection: Connection, pages: Sequence[tuple[str, int]]) -> None:
    """Fetch the pages (address, series id) one after the other and store them."""
    connection.autocommit = False
    with requests.Session() as http, connection.cursor() as cursor:
        for at in range(0, len(pages), PAGES_A_COMMIT):
            lines: list[str] = []
            for url, series_id in pages[at : at + PAGES_A_COMMIT]:
                answer = http.get(url, timeout=30)
                answer.raise_for_status()
                observed_at = datetime.now(UTC).isoformat()
                for k in json.loads(answer.content):
                    ts = datetime.fromtimestamp(k[0] / 1000, UTC).isoformat()
                    lines.append(
                        f"{series_id},{ts},{k[1]},{k[2]},{k[3]},{k[4]},{k[5]},{k[7]},{k[8]},t,{observed_at},0\n"
                    )
            cursor.execute(_MAKE)
            cursor.copy_expert(_COPY, StringIO("".join(lines)))
            cursor.execute(_UPSERT)
            connection.commit()
