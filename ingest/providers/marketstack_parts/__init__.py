"""What ../marketstack.py is too long to hold: how its symbols are spelled, and how its rows and errors are read.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
