"""Stands in for the `modal` package inside functions that the GPU host runs.

Only what a handler needs to reach its volume; it works directly on this machine's files.
"""

from . import exception
from .volume import Volume

__all__ = ["Volume", "exception"]
