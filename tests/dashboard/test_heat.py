"""A day of the heat-map as it is drawn. Deliberately not here: the whole map on its page (test_data_pages.py)."""

from __future__ import annotations

from datetime import date

from markupsafe import escape

from dashboard.heat import GLYPHS, draw
from ingest.pipeline.heat_map import DAY_STATES, Cell

DAY = date(2026, 11, 30)


def test_every_state_has_a_glyph_of_its_own():
    assert set(GLYPHS) == set(DAY_STATES)
    assert len(set(GLYPHS.values())) == len(DAY_STATES)


def test_a_note_is_escaped_and_numbers_stand_where_they_are_known():
    evil = "\"><script>alert('x')</script>"
    drawn = draw([Cell(DAY, "partial", None, 7, evil), Cell(DAY, "not owed")])
    assert f'class="day partial" title="2026-11-30 partial, 7 of ? rows: {escape(evil)}">' in drawn
    assert 'class="day not-owed" title="2026-11-30 not owed">' in drawn
    assert "<script" not in drawn
