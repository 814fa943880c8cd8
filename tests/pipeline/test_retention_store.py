"""History that is fetched again after retention dropped its partition is stored, by a process that had seen it too."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

from ingest.pipeline.context import Context
from ingest.pipeline.retention import retain
from models.partitions import is_partition_missing
from tests.pipeline.farm import bars_call, opened
from tests.pipeline.old_things import put_rows, series_of, verify

OLD = datetime(2024, 3, 5, tzinfo=UTC)


def test_rows_whose_partition_was_dropped_meanwhile_are_stored_all_the_same(farm, settings_of):
    farm.owe("binance", bars_call("BTC-USDT"))
    farm.run_once()
    verify(farm)
    with opened(Context(settings_of(tickfarm_keep_bars_days=30), name="test"), farm.sandbox) as other:
        report = retain(other.context, datetime.now(UTC))
    assert report.summary()["partitions"] == 1
    assert farm.value("SELECT count(*) FROM bars") == 0
    farm.owe("binance", bars_call("BTC-USDT"))
    assert farm.run_once().state == "fetched"
    assert farm.value("SELECT count(*) FROM bars") == farm.value("SELECT stored FROM ledger") == 60
    assert farm.select("SELECT DISTINCT state, deleted, deleted_at FROM ledger") == [("fetched", 60, None)]
    assert set(farm.states()) == {"done"}


def test_a_row_that_breaks_a_rule_of_its_table_is_no_missing_partition(farm):
    with pytest.raises(IntegrityError) as refused:
        put_rows(farm, "bars", series_of(farm, "bars"), OLD, close="NaN")
    assert is_partition_missing(refused.value) is False
