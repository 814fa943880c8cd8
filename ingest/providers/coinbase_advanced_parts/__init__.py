"""What ../coinbase_advanced.py is too long to hold: what the rows of its pages mean.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
