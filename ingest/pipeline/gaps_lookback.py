"""Whether what is owed is kept: a history that reaches further back than its dataset is kept would come and go.

Deliberately not here: what is deleted (retention). Invariant: a look-back counts from when the series was made, so
that time alone never makes a farm refuse to start.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from ingest.errors import FixRequest
from ingest.settings import BadSetting, Settings
from models import Series, open_engine


def check_since(config: Settings, dataset: str, since: datetime, now: datetime, *, option: str = "--since") -> None:
    """Raise FixRequest for what is to begin before what is kept of its dataset. `option` names where that was said."""
    days = _kept_days(config, dataset)
    if days and since < now - timedelta(days=days):
        raise FixRequest(
            f"{option} {since:%Y-%m-%d} lies before what is kept: {_setting(dataset)} is {days}; raise it (0: for"
            f" ever), or begin on {now - timedelta(days=days):%Y-%m-%d} or later"
        )


def check_lookback(config: Settings, database_url: str) -> None:
    """Raise BadSetting where a followed series' `since` reaches further back than its dataset is kept."""
    engine = open_engine(database_url, application_name="tickfarm start", pooled=False)
    try:
        with engine.connect() as connection:
            followed = select(Series.__table__).where(Series.followed, Series.since.is_not(None)).order_by(Series.id)
            for row in connection.execute(followed):
                days = _kept_days(config, row.dataset)
                if days and row.since < row.created_at - timedelta(days=days):
                    raise BadSetting(
                        f"{_setting(row.dataset)} is {days}, but {row.provider} {row.dataset} {row.instrument} is"
                        f" followed --since {row.since:%Y-%m-%d}: what is fetched of it would be deleted again; raise"
                        " the one (0: for ever), or unfollow the series"
                    )
    finally:
        engine.dispose()


def _kept_days(config: Settings, dataset: str) -> int:
    return int(getattr(config, f"tickfarm_keep_{dataset}_days"))


def _setting(dataset: str) -> str:
    return f"TICKFARM_KEEP_{dataset.upper()}_DAYS"
