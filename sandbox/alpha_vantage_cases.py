"""Examples of what a copy of Alpha Vantage must hold, and its errors, with the sentences it sends.

Deliberately not here: the rows themselves (`alpha_vantage_rows.py`). Invariant: the windows are long closed, and within
what the dialect has by default.
"""

from sandbox.contract import ErrorCase, Example

THROTTLED = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly "
    "(1 request per second). You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to "
    "lift the free key rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock all "
    "premium endpoints"
)
_BURST = (
    "Burst pattern detected. Please consider spreading out your API requests more evenly across a 1-minute window and "
    "query no more than 5 requests per second."
)
_OLD_NOTE = (
    "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls per day. "
    "Please visit https://www.alphavantage.co/premium/ if you would like to target a higher API call frequency."
)
_FULL = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the "
    "TIME_SERIES_DAILY endpoint. You may subscribe to any of the premium plans at "
    "https://www.alphavantage.co/premium/ to unlock it"
)


def quota_text(key: str, per_day: int) -> str:
    """Return the sentence about the day's limit, which repeats the key."""
    return (
        f"We have detected your API key as {key} and our standard API rate limit is {per_day} requests per day. Please "
        "subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to instantly remove all daily "
        "rate limits."
    )


def _window(dataset: str, instrument: str, first: str, end: str, interval: str = "") -> Example:
    return Example(dataset, instrument, interval, f"{first}T00:00:00+00:00", f"{end}T00:00:00+00:00")


_IBM_DAYS = _window("bars", "IBM", "2012-01-03", "2013-03-02", "1d")
#: Bars, actions: a compact page, then all. Minutes: two months, and the night in which the clocks change. News: three
#: pages of 1,000.
EXAMPLES = (
    _IBM_DAYS,
    _window("bars", "AAPL", "2005-02-01", "2005-04-01", "1d"),
    _window("bars", "EUR-USD", "2024-01-01", "2024-06-01", "1d"),
    _window("bars", "IBM", "2024-02-26", "2024-03-16", "5m"),
    _window("bars", "MSFT", "2024-03-04", "2024-03-13", "1m"),
    Example("quotes", "IBM"),
    Example("quotes", "EUR-USD"),
    _window("actions", "AAPL", "2000-03-01", "2013-03-02"),
    _window("news", "AAPL", "2024-05-01", "2024-06-10"),
    _window("news", "CRYPTO.BTC", "2024-05-01", "2024-05-04"),
    _window("news", "TOPIC.IPO", "2024-05-01", "2024-05-15"),
    _window("observations", "TREASURY.10Y", "2023-12-01", "2024-02-01"),
    _window("observations", "REAL.GDP", "2020-01-01", "2024-01-01"),
    _window("observations", "CPI", "2020-01-01", "2024-01-01"),
)

_DOCUMENTATION = "https://www.alphavantage.co/documentation"
_CLIENT = "https://github.com/RomelTorres/alpha_vantage"


def _sentence(key: str, text: str) -> dict[str, object]:
    escaped = text.replace('"', '\\"')
    return {"fault": "error_in_200", "args": {"body": f'{{\n    "{key}": "{escaped}"\n}}'}}


ERROR_CASES = (
    ErrorCase(
        "the day's requests are spent, and the sentence repeats the key and says premium",
        _IBM_DAYS,
        "quota",
        _CLIENT,
        _sentence("Information", quota_text("sandbox-key", 25)),
    ),
    ErrorCase(
        "two requests in a second, in a sentence that names the day's limit too",
        _IBM_DAYS,
        "wait",
        "https://github.com/beancount/beanprice/issues/124",
        _sentence("Information", THROTTLED),
    ),
    ErrorCase("a burst with a premium key", _IBM_DAYS, "wait", _CLIENT, _sentence("Note", _BURST)),
    ErrorCase(
        "the note of former years",
        _IBM_DAYS,
        "wait",
        "https://github.com/finance-quote/finance-quote/pull/104",
        _sentence("Note", _OLD_NOTE),
    ),
    ErrorCase("all days without a plan", _IBM_DAYS, "plan", _DOCUMENTATION, _sentence("Information", _FULL)),
    ErrorCase("a wrong key", _IBM_DAYS, "key", _CLIENT, key="wrong-key"),
    ErrorCase("the demo key", _IBM_DAYS, "key", _DOCUMENTATION, key="demo"),
    ErrorCase(
        "an unknown share, in a sentence that says retry",
        _window("bars", "NOPE", "2012-01-03", "2013-03-02", "1d"),
        "unknown",
        _CLIENT,
    ),
    ErrorCase("a quote of an unknown share", Example("quotes", "NOPE"), "unknown", _DOCUMENTATION),
    ErrorCase("news of an unknown ticker", _window("news", "NOPE", "2024-05-01", "2024-05-02"), "unknown", _CLIENT),
    ErrorCase("its side failed", _IBM_DAYS, "again", _DOCUMENTATION, {"fault": "status", "args": {"status": 503}}),
)
