"""docs/providers.md is what the providers' files say."""

from __future__ import annotations

import pytest

from ingest.settings import CHECKOUT
from ingest.wire import Limit
from local.provider_page import limit_in_words, page


def test_the_page_is_made_from_the_providers_files():
    made = "python -m local.provider_page > docs/providers.md"
    assert (CHECKOUT / "docs" / "providers.md").read_text() == page(), f"make it again: {made}"


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit(5, 60, ""), "5 requests a minute"),
        (Limit(1, 1, ""), "1 request a second"),
        (Limit(300, 10, ""), "300 requests in 10 seconds"),
        (Limit(6000, 60, "", "weight"), "6,000 weight a minute"),
        (Limit(450, 900, ""), "450 requests in 15 minutes"),
        (Limit(100, 31 * 86_400, "", resets="UTC"), "100 requests a month, anew at midnight UTC"),
        (Limit(25, 86_400, "", datasets=("news",)), "25 requests a day (news)"),
    ],
)
def test_a_limit_reads_as_people_say_it(limit, words):
    assert limit_in_words(limit) == words
