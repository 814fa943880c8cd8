"""Alpha Vantage's synthetic articles: some a half hour, each about one to three tickers, with scores.

Deliberately not here: parameters and JSON (`dialects/alpha_vantage.py`).
Invariant: an article is a function of seed and time alone, and the articles of a stretch of time ascend.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

TICKERS = ("AAPL", "IBM", "MSFT", "GOOG", "BRK-B", "CRYPTO:BTC", "CRYPTO:ETH", "FOREX:USD", "FOREX:EUR")
TOPICS = (
    *("blockchain", "earnings", "ipo", "mergers_and_acquisitions", "financial_markets", "economy_fiscal"),
    *("economy_monetary", "economy_macro", "energy_transportation", "finance", "life_sciences", "manufacturing"),
    *("real_estate", "retail_wholesale", "technology"),
)
SINCE_S = 1_646_092_800  # 2022-03-01, when the news began
_STRETCH_S = 1_800
#: "x <= -0.35: Bearish; -0.35 < x <= -0.15: Somewhat-Bearish; .. x >= 0.35: Bullish"
_LABELS = ((-0.35, "Bearish"), (-0.15, "Somewhat-Bearish"), (0.15, "Neutral"), (0.35, "Somewhat-Bullish"))
_AUTHORS = ("Ada Lindqvist", "Jürgen Œhler", "R. O'Neill")

Numbers = Callable[[str, int], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Article:
    """One article; scores are floats whose shortest text is what is printed, those of tickers are text."""

    at_s: int
    url: str
    title: str
    summary: str
    source: str
    authors: tuple[str, ...]
    topics: tuple[str, ...]
    score: float
    label: str
    tickers: tuple[tuple[str, str, str, str], ...]  # ticker, relevance, score, label


def articles(numbers: Numbers, first_s: int, end_s: int) -> Iterator[Article]:
    """Yield the articles of `[first_s, end_s)`, oldest first."""
    for stretch in range(max(first_s, SINCE_S) // _STRETCH_S, -(-end_s // _STRETCH_S)):
        count = 4 + numbers(f"news/{stretch}", 1)[0] % 4
        for i in range(count):
            article = _article(numbers, stretch, i, count)
            if first_s <= article.at_s < end_s:
                yield article


def _article(numbers: Numbers, stretch: int, i: int, count: int) -> Article:
    when, kind, who, mood, *more = numbers(f"news/{stretch}/{i}", 12)
    width = _STRETCH_S // count
    at_s = stretch * _STRETCH_S + i * width + when % width
    tickers = tuple(dict.fromkeys(TICKERS[n % len(TICKERS)] for n in more[: 1 + kind % 3]))
    score = round(mood / 65_536 * 1.6 - 0.8, 6)
    about = []
    for ticker, relevance, feeling in zip(tickers, more[3:], more[5:], strict=False):
        value = round(feeling / 65_536 * 1.6 - 0.8, 6)
        about.append((ticker, f"{relevance / 65_536:.6f}", f"{value:.6f}", label_of(value)))
    return Article(
        at_s=at_s,
        url=f"https://news.example/{stretch}/{i}",
        title=f"{tickers[0]} moves: “{datetime.fromtimestamp(at_s, UTC):%H:%M}” — a synthetic headline",
        summary=f"Nothing happened to {', '.join(tickers)}; this text is made up.",
        source=("Example Wire", "Synthetic Post")[who % 2],
        authors=(_AUTHORS[who % 3],) if who % 5 else (),
        topics=(TOPICS[kind % len(TOPICS)],),
        score=score,
        label=label_of(score),
        tickers=tuple(about),
    )


def label_of(score: float) -> str:
    """Return the words for a score."""
    if score <= _LABELS[1][0]:
        return _LABELS[0][1] if score <= _LABELS[0][0] else _LABELS[1][1]
    return next((words for bound, words in _LABELS[2:] if score < bound), "Bullish")
