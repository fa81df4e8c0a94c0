"""Content of a media file, as it says itself."""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .children import last_words, run_child
from .errors import Expected
from .ffmpeg import SAFE_INPUT
from .tracks import Stream
from .volume import shown_name

# Streams of some files begin late, or show late what they are; looking further takes memory, so it is done only there.
FAR = ["-probesize", "128M", "-analyzeduration", "300M"]
# Containers without a header: any stream may turn up later.
HEADERLESS = {"mpeg", "mpegvideo"}


@dataclass(frozen=True)
class Probe:
    """Streams and format as ffprobe shows them, and how to open the file so that they are found again."""

    streams: list[Stream]
    format: dict[str, Any]
    input_options: list[str]
    is_length_estimated: bool

    @property
    def start_seconds(self) -> float:
        """The timestamp that a player shows as 0: that of the stream that begins first."""
        with contextlib.suppress(KeyError, ValueError):
            return float(self.format["start_time"])
        return 0.0

    @property
    def formats(self) -> set[str]:
        return set(str(self.format.get("format_name", "")).split(","))

    @property
    def seconds(self) -> float:
        return seconds_of(self.format) or max(map(seconds_of, self.streams), default=0.0)


def probe_file(path: Path, name: str) -> Probe:
    near = _probe(path, name, [])
    return near if _is_complete(near) else _probe(path, name, FAR)


def _probe(path: Path, name: str, reach: list[str]) -> Probe:
    lines: list[str] = []
    log = path.with_name("ffprobe.log")
    options = [*reach, *SAFE_INPUT]
    show = ["-show_format", "-show_streams", "-of", "json"]
    code = run_child(["ffprobe", "-v", "warning", *options, *show, "-i", f"file:{path}"], log, lines.append)
    if code != 0:
        reason = last_words(log, 1).replace(f"file:{path}", "the file")
        raise Expected("INPUT_NOT_MEDIA", f"{shown_name(name)} is no audio or video file that ffmpeg reads: {reason}")
    document = json.loads("\n".join(lines))
    is_estimated = "Estimating duration from bitrate" in log.read_text(encoding="utf-8", errors="replace")
    return Probe(document.get("streams", []), document.get("format", {}), options, is_estimated)


def _is_complete(probe: Probe) -> bool:
    needed = {"audio": "sample_rate", "video": "width"}
    return not probe.formats & HEADERLESS and all(
        stream.get(needed[kind]) not in (None, 0, "0")
        for stream in probe.streams
        if (kind := str(stream.get("codec_type"))) in needed
    )


def seconds_of(part: dict[str, Any]) -> float:
    """Length that a stream or a file says it has; 0 if it does not say."""
    with contextlib.suppress(KeyError, ValueError):
        seconds = float(part["duration"])
        return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
    return 0.0


def tagged_seconds(stream: Stream) -> float:
    """The length that Matroska's statistics give a track; 0 without them."""
    for key, value in (stream.get("tags") or {}).items():
        found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", str(value))
        if key.upper().startswith("DURATION") and found:
            return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
    return 0.0
