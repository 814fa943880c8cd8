"""Tests of the sandbox: the documented rules of each dialect, each fault, the limits, the synthetic market."""
