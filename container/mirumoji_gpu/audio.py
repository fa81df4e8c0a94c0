"""One audio stream as the speech engines want it: 16 kHz mono WAV with the media's times."""

from __future__ import annotations

import contextlib
import wave
from pathlib import Path
from typing import Any

from .errors import Expected
from .ffmpeg import SAFE_INPUT, run_ffmpeg
from .probe import duration_of, seconds_of
from .progress import Progress

SAMPLE_RATE = 16_000


def extract_audio(
    source: Path, probe: dict[str, Any], stream: dict[str, Any], wav: Path, clean: bool, pad_seconds: float
) -> float:
    """One stream to 16 kHz mono WAV with the media's times. Gives its length."""
    progress = Progress("prepare")
    seconds = seconds_of(stream) or duration_of(probe)
    filters = [] if _is_ready(probe, stream) else _mono_filters(probe)
    if clean:
        filters += ["highpass=f=300", "lowpass=f=3400", "loudnorm"]
    if pad_seconds:
        filters += [f"aresample={SAMPLE_RATE}", f"apad=pad_dur={pad_seconds:g}"]
    # Timestamps as they are in the file; some offset, or older versions still take off the start of the audio alone.
    argv = ["-copyts", "-itsoffset", "0.000001", *SAFE_INPUT, "-i", f"file:{source}"]
    argv += ["-map", f"0:{stream['index']}", "-vn", "-sn", "-dn", *(["-af", ",".join(filters)] if filters else [])]
    argv += ["-ac", "1", "-ar", str(SAMPLE_RATE), "-c:a", "pcm_s16le", "-f", "wav", f"file:{wav}"]
    code, tail = run_ffmpeg(argv, wav.parent, seconds, progress)
    if code != 0:
        raise Expected("ENGINE_FAILED", f"ffmpeg could not decode the audio (exit code {code}): {tail}")
    with contextlib.closing(wave.open(str(wav), "rb")) as reader:
        length = reader.getnframes() / SAMPLE_RATE - pad_seconds
    if length <= 0:
        raise Expected("INPUT_NOT_MEDIA", f"the audio stream has no samples ({tail}); check the file with ffprobe.")
    progress.done()
    return length


def _is_ready(probe: dict[str, Any], stream: dict[str, Any]) -> bool:
    """Whether the audio is what `_mono_filters` makes: the worker has taken it out of the input already."""
    raw_flac = probe.get("format", {}).get("format_name") == "flac" and stream.get("codec_name") == "flac"
    return raw_flac and stream.get("sample_rate") == str(SAMPLE_RATE) and stream.get("channels") == 1


def _mono_filters(probe: dict[str, Any]) -> list[str]:
    """
    16 kHz mono on the time line that a player shows: gaps and a late start become silence. The worker takes audio out
    of files with the same filters (`src/media/audio-arguments.ts`, which says why they are as they are).
    """
    try:
        start = float(probe["format"]["start_time"])
    except (KeyError, ValueError):
        start = 0.0
    step = "PTS-PREV_INPTS"
    following = f"PREV_OUTPTS+if(between(({step})*TB,-1,1800),{step},NB_SAMPLES)"
    return [
        f"aresample={SAMPLE_RATE}",
        "aformat=sample_fmts=s16:channel_layouts=mono",
        f"asetpts='if(isnan(PREV_INPTS),PTS-({start:.6f})/TB,{following})'",
        "aresample=async=1:first_pts=0",
    ]
