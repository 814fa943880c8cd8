"""Benchmarks: what the farm does against real servers on this machine, always beside something to compare it with.

`python -m benchmarks NAME --json`. Nothing imports this package. Invariant: a figure is printed only after every row
it counts was found in the table.
"""
