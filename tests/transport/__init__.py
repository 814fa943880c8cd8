"""Tests of ingest/transport."""
