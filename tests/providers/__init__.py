"""Tests of ingest/providers."""
