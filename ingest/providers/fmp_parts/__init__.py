"""What ../fmp.py is too long to hold: its symbols, the dates it is asked by, its rows and errors.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
