"""The farm on one machine: embedded servers, supervised processes. Linux; elsewhere best effort (see child.py).

Deliberately not here: what the processes do. Invariant: whatever is started here ends with the one who started it.

    with local.farm(home, sandbox=True) as farm:
        while True:
            for sentence in farm.poll(): print(sentence)
"""

from local.start import Farm, farm
from local.state import Refused

__all__ = ["Farm", "Refused", "farm"]
