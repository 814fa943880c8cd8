"""What is owed further back than it is kept is a configuration error that names both settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import FixRequest
from ingest.pipeline.gaps import check
from ingest.pipeline.gaps_lookback import check_lookback, check_since
from ingest.settings import BadSetting

NOW = datetime.now(UTC)


def follow(farm, *, days):
    farm.change(
        "INSERT INTO series (provider, dataset, instrument, interval, followed, since)"
        " VALUES ('binance', 'bars', 'BTC-USDT', '1m', true, now() - :days * interval '1 day')",
        days=days,
    )


@pytest.mark.parametrize(("kept", "days"), [(30, 29), (0, 400)])
def test_a_series_within_what_is_kept_is_taken(farm, settings_of, kept, days):
    config = settings_of(tickfarm_keep_bars_days=kept)
    follow(farm, days=days)
    check_lookback(config, config.database_url.get_secret_value())
    check_since(config, "bars", NOW - timedelta(days=days), NOW)


def test_one_that_begins_before_it_is_refused_with_both_names(farm, settings_of):
    config = settings_of(tickfarm_keep_bars_days=30)
    follow(farm, days=31)
    with pytest.raises(BadSetting, match=r"TICKFARM_KEEP_BARS_DAYS is 30.*BTC-USDT.*--since"):
        check_lookback(config, config.database_url.get_secret_value())
    with pytest.raises(FixRequest, match=r"--since .*TICKFARM_KEEP_BARS_DAYS is 30"):
        check_since(config, "bars", NOW - timedelta(days=31), NOW)


def test_a_series_without_a_since_is_owed_its_datasets_default_and_no_more_than_is_kept(farm, settings_of):
    farm.context.settings = settings_of(tickfarm_keep_bars_days=30)
    follow(farm, days=1)
    farm.change("UPDATE series SET since = NULL")
    assert check(farm.context, NOW).planned == 31
    farm.context.settings = settings_of()
    assert check(farm.context, NOW).planned == 366 - 31 + 1  # its first day, of which a part was owed, once more
