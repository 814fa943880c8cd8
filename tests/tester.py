"""Who acts in the tests."""

from __future__ import annotations

from ingest.pipeline.audit import By

TESTER = By("tester", "command")
