"""Examples of what a copy of an archive of IEX Cloud must hold, and its errors with their sentences.

Deliberately not here: the rows themselves (`iex_rows.py`). Invariant: the windows are long closed.
"""

from sandbox.contract import ErrorCase, Example


def _window(instrument: str, interval: str, first: str, end: str) -> Example:
    return Example("bars", instrument, interval, f"{first}T00:00:00+00:00", f"{end}T00:00:00+00:00")


#: Days: all there are, and a few by their dates. Minutes: four days, the night between in which the clocks change.
EXAMPLES = (
    _window("IBM", "1d", "2010-01-04", "2013-03-02"),
    _window("AAPL", "1d", "2005-02-25", "2005-03-02"),
    _window("IBM", "1m", "2024-03-08", "2024-03-13"),
    Example("quotes", "AAPL"),
    Example("quotes", "IBM"),
    Example("books", "AAPL"),
    Example("trades", "AAPL"),
    Example("news", "MSFT"),
)

_DOCS = "https://iexcloud.io/docs/api"
_QUOTA = "You have exceeded your allotted message quota. Please enable pay-as-you-go to regain access"


def _status(status: int, text: str) -> dict[str, object]:
    return {"fault": "status", "args": {"status": status, "body": text}}


ERROR_CASES = (
    ErrorCase("an unknown symbol", _window("NOPE", "1d", "2010-01-04", "2013-03-02"), "unknown", _DOCS),
    ErrorCase("a wrong token", EXAMPLES[0], "key", _DOCS, key="wrong-key"),
    ErrorCase("the month's messages are spent", EXAMPLES[0], "quota", _DOCS, _status(402, _QUOTA)),
    ErrorCase(
        "not in the plan",
        EXAMPLES[0],
        "plan",
        _DOCS,
        _status(402, "The requested data is not available to your current tier."),
    ),
    ErrorCase("too many requests", EXAMPLES[0], "wait", _DOCS, _status(429, "Too many requests")),
    ErrorCase("an error of its own", EXAMPLES[0], "again", _DOCS, _status(500, "Internal Server Error")),
    ErrorCase(
        "unable at this time", EXAMPLES[0], "again", _DOCS, _status(451, "Unable to complete your request at this time")
    ),
    ErrorCase("gone for good", EXAMPLES[0], "request", "https://iexcloud.io", _status(410, "Gone")),
    ErrorCase("a Saturday has no minutes", _window("IBM", "1m", "2024-03-09", "2024-03-10"), "nothing", _DOCS),
)
