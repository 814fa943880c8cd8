"""What ../nasdaq_data_link.py is too long to hold: its time-series datasets.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
