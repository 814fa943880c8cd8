"""What ../polygon.py is too long to hold: how its tickers are named, its endpoints asked, its rows read.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
