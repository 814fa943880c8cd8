"""Tests of ingest/market."""
