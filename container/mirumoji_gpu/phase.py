"""Stereo whose channels cancel each other out, as of a microphone that is wired the wrong way."""

from __future__ import annotations

import re
from pathlib import Path

from .children import run_child
from .probe import Probe, seconds_of
from .tracks import Stream

# Pieces of a sound that are listened to: seconds, and where in a long one.
PIECE_SECONDS = 10
PLACES = (0.1, 0.4, 0.7)
# By so much, in decibels, the difference of the channels is louder than their sum. Wide stereo stays below 6.
OPPOSED = 15.0
OPPOSED_WARNING = "the channels are in opposite phase; their difference was heard, as their sum is silent"


def is_opposed(source: Path, probe: Probe, stream: Stream) -> bool:
    """Whether the sum of two channels is nearly nothing and their difference is not. `src/media/phase.ts` is the same."""
    if int(stream.get("channels") or 0) != 2:
        return False
    log = source.with_name("phase.log")
    run_child(["ffmpeg", *phase_arguments(source, probe, stream)], log)
    levels = re.findall(r"RMS level dB: (-?[\d.]+|-inf)", log.read_text(encoding="utf-8", errors="replace"))
    total, difference = (float(level) for level in levels[-2:]) if len(levels) > 1 else (0.0, 0.0)
    return difference > -60 and difference - total > OPPOSED


def phase_arguments(source: Path, probe: Probe, stream: Stream) -> list[str]:
    seconds = seconds_of(stream) or probe.seconds
    places = [seconds * place for place in PLACES] if seconds > PIECE_SECONDS * 6 else [0.0]
    argv = ["-hide_banner", "-nostdin", "-nostats"]
    for place in places:
        argv += ["-ss", f"{place:.3f}", "-t", str(PIECE_SECONDS * 3 // len(places)), *probe.input_options]
        argv += ["-i", f"file:{source}"]
    heard = "".join(f"[{number}:{stream['index']}]" for number in range(len(places)))
    mixed = "aresample=16000,pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0+-0.5*c1"
    levels = "astats=measure_overall=none:measure_perchannel=RMS_level"
    return [*argv, "-filter_complex", f"{heard}concat=n={len(places)}:v=0:a=1,{mixed},{levels}", "-f", "null", "-"]
