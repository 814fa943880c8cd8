"""Tests of deploy/ and of what it must agree with."""
