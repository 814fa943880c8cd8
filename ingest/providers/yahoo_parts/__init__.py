"""What ../yahoo.py is too long to hold: how its symbols are spelled, and how charts and quotes are read.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
