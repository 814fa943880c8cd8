"""stub"""
from datetime import UTC, datetime, timedelta, date
from ingest.market.intervals import expected_bars
def expected_by_day(calendar, interval, start, end):
    out=[]; d=datetime(start.year,start.month,start.day,tzinfo=UTC)
    while d<end:
        n=expected_bars(max(d,start),min(d+timedelta(days=1),end),interval)
        if n: out.append((d.date(),n))
        d+=timedelta(days=1)
    return out
