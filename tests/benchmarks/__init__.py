"""Tests of the benchmarks: tiny sizes, real servers."""
