"""What ../bitfinex.py is too long to hold: how its pairs are named, its windows followed, its rows and errors read.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
