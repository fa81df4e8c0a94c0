"""The sound as 16 kHz mono samples, a window at a time: a film never lies in memory as a whole."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Iterator

import numpy as np

SAMPLE_RATE = 16_000


class Pcm:
    """A 16-bit mono WAV file."""

    def __init__(self, path: Path) -> None:
        self._reader = wave.open(str(path), "rb")
        self.seconds = self._reader.getnframes() / SAMPLE_RATE

    def __enter__(self) -> Pcm:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read(self, start: float, end: float) -> np.ndarray:
        """Samples from -1 to 1 between two times in seconds, as far as there are any."""
        first = min(max(0, round(start * SAMPLE_RATE)), self._reader.getnframes())
        self._reader.setpos(first)
        data = self._reader.readframes(max(0, round(end * SAMPLE_RATE) - first))
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768.0

    def windows(self, seconds: float, lead: float) -> Iterator[tuple[float, np.ndarray]]:
        """Windows one after the other, each with up to `lead` seconds of what comes before it; with their start."""
        at = 0.0
        while at < self.seconds:
            before = min(lead, at)
            yield at, self.read(at - before, at + seconds)
            at += seconds
