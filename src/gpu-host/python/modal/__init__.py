"""Stands in for the `modal` package inside functions that the GPU host runs.

`Volume` works on this machine's files. Everything else that a script takes from the package to declare its app can be
imported and called, and does nothing here.
"""

from . import exception
from .declaration import Declaration
from .volume import Volume

__all__ = ["Volume", "exception", "is_local"]


def is_local():
    return False


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Declaration(name)
