"""What ../fred.py is too long to hold: the steps of real time, and what errors mean.

Deliberately not here: providers; this folder registers none. Invariant: as in a provider's file, no clock and no I/O.
"""
