"""Find the dialects: every module in this folder is one provider, named by its file.

Deliberately not here: a list of providers. Adding a provider is adding a file with `open_dialect(seed)`.
Invariant: the key of a dialect is its file name.
"""

import importlib
import pkgutil

from sandbox.contract import Dialect


def open_dialects(seed: int) -> dict[str, Dialect]:
    """Return one fresh dialect per module in this folder, by provider name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").open_dialect(seed) for name in names}
