"""Tests of `local/`: real servers, real processes, real signals."""
