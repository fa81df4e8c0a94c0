"""Seconds that the parts of a call take, for its receipt."""

from __future__ import annotations

import contextlib
import time
from typing import Iterator

_spent: dict[str, float] = {}
_started = 0.0


def start() -> None:
    """A process may be asked again, for something else."""
    global _started
    _spent.clear()
    _started = time.monotonic()


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
    """Counts what is done in it as `download`, `load` or `upload`."""
    began = time.monotonic()
    try:
        yield
    finally:
        _spent[name] = _spent.get(name, 0.0) + time.monotonic() - began


def seconds() -> dict[str, float]:
    """The parts since the start; the rest is `compute`, so that they add up to all of it."""
    named = {name: round(_spent.get(name, 0.0), 3) for name in ("download", "load", "upload")}
    return {**named, "compute": round(max(0.0, time.monotonic() - _started - sum(named.values())), 3)}
