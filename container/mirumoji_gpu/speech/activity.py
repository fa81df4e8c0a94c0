"""Voice activity: how likely somebody speaks, and how loud it is, over the whole sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .pcm import SAMPLE_RATE, Pcm

# Silero's frame, and the one for levels.
FRAME = 512
HOP = 160
HOP_SECONDS = HOP / SAMPLE_RATE
FRAME_SECONDS = FRAME / SAMPLE_RATE

# Windows end on a frame of either kind. The detector has a memory of its own: it hears a little of what was before.
WINDOW_SECONDS = 480.0
LEAD_SECONDS = 8.0
SILENCE_DB = -90.0


@dataclass(frozen=True)
class Activity:
    """Both in steps of 10 ms."""

    speech: np.ndarray
    """Probability of speech, 0 to 1."""
    level: np.ndarray
    """RMS in dB of full scale."""

    @property
    def steps(self) -> int:
        return len(self.level)


def listen(pcm: Pcm) -> Activity:
    """Runs faster-whisper's Silero over the sound."""
    from faster_whisper.vad import get_vad_model

    detect = get_vad_model()
    speech: list[np.ndarray] = []
    level: list[np.ndarray] = []
    for at, samples in pcm.windows(WINDOW_SECONDS, LEAD_SECONDS):
        lead = min(at, LEAD_SECONDS)
        frames = np.asarray(detect(np.pad(samples, (0, -len(samples) % FRAME)))).ravel()
        own = samples[round(lead * SAMPLE_RATE) :]
        steps = -(-len(own) // HOP)
        middles = lead + (np.arange(steps) + 0.5) * HOP_SECONDS
        speech.append(frames[np.minimum((middles / FRAME_SECONDS).astype(int), len(frames) - 1)])
        squares = np.pad(own, (0, steps * HOP - len(own))).reshape(steps, HOP) ** 2
        level.append(10 * np.log10(np.maximum(squares.mean(axis=1), 10 ** (SILENCE_DB / 10))))
    if not level:
        return Activity(np.zeros(0, np.float32), np.zeros(0, np.float32))
    return Activity(np.concatenate(speech).astype(np.float32), np.concatenate(level).astype(np.float32))
