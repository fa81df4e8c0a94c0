"""Content of a media file."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

from .children import last_words, run_child
from .errors import Expected
from .ffmpeg import SAFE_INPUT
from .volume import shown_name


def probe_file(path: Path, name: str) -> dict[str, Any]:
    lines: list[str] = []
    log = path.with_name("ffprobe.log")
    show = ["-show_format", "-show_streams", "-of", "json"]
    code = run_child(["ffprobe", "-v", "error", *SAFE_INPUT, *show, "-i", f"file:{path}"], log, lines.append)
    if code != 0:
        reason = last_words(log, 1).replace(f"file:{path}", "the file")
        raise Expected("INPUT_NOT_MEDIA", f"{shown_name(name)} is no audio or video file that ffmpeg reads: {reason}")
    return json.loads("\n".join(lines))


def stream_of(probe: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The first stream of a kind that can be decoded; cover pictures are no video."""
    for stream in probe.get("streams", []):
        cover = (stream.get("disposition") or {}).get("attached_pic")
        if stream.get("codec_type") == kind and stream.get("codec_name") not in (None, "unknown") and not cover:
            return stream
    return None


def seconds_of(part: dict[str, Any]) -> float:
    """How long a stream or a file says it is; 0 if it does not say."""
    with contextlib.suppress(KeyError, ValueError):
        seconds = float(part["duration"])
        return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
    return 0.0


def duration_of(probe: dict[str, Any]) -> float:
    return seconds_of(probe.get("format", {})) or max(map(seconds_of, probe.get("streams", [])), default=0.0)


def shortfall(seconds: float, expected: float) -> list[str]:
    """A warning when a file ends before the length that it promised."""
    short = seconds < expected - max(1.0, expected * 0.02)
    return [f"only {seconds:.1f} of {expected:.1f} s could be decoded; the file is damaged"] if short else []
