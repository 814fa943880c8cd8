"""What ../finnhub.py is too long to hold: how its instruments are named, how its answers become rows, or errors.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
