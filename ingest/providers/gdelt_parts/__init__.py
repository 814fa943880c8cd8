"""What ../gdelt.py is too long to hold: its articles and its errors.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
