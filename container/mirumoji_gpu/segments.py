"""Timed text as the engines give it and as it is stored."""

from __future__ import annotations

import math
import re
from typing import Any, Sequence

Segment = dict[str, Any]

# How long a segment is shown that has no length of its own.
SHORTEST_SECONDS = 0.2


def group_words(words: Sequence[tuple[str, float, float]]) -> list[Segment]:
    """Words to subtitles: a new one after a pause of half a second, at 7 seconds and at 84 characters."""
    segments: list[Segment] = []
    for word, start, end in words:
        word = re.sub(r"^i(?=$|')", "I", word)
        timed = {"start": start, "end": end, "text": word}
        last = segments[-1] if segments else None
        pause = last is None or start - last["end"] > 0.5
        if last is None or pause or end - last["start"] > 7 or len(last["text"]) + 1 + len(word) > 84:
            timed["text"] = text = word[:1].upper() + word[1:] if pause else word
            segments.append({"start": start, "end": end, "text": text, "words": [timed]})
        else:
            last["text"] += " " + word
            last["end"] = end
            last["words"].append(timed)
    return segments


def tidy(raw: Sequence[Segment], seconds: float) -> list[Segment]:
    """Segments as they are stored: inside the media, in order, never empty, plain finite numbers."""
    segments: list[Segment] = []
    floor = 0.0
    for item in raw:
        text = str(item["text"]).strip()
        if not text:
            continue
        start = min(max(float(item["start"]), floor), seconds)
        end = min(float(item["end"]), seconds)
        if end <= start:  # whisper.cpp has such segments; their words were spoken all the same
            end = min(start + SHORTEST_SECONDS, seconds)
            start = max(min(start, end - SHORTEST_SECONDS), 0.0)
        start, end = round(start, 3), round(end, 3)
        segment: Segment = {"start": start, "end": end, "text": text}
        for key in ("avgLogProb", "noSpeechProb", "compressionRatio"):
            value = item.get(key)
            if value is not None and math.isfinite(value):
                segment[key] = round(float(value), 4)
        if item.get("words"):
            segment["words"] = [_inside(word, start, end) for word in item["words"]]
        segments.append(segment)
        floor = max(floor, start)
    return segments


def moved(segments: Sequence[Segment], seconds: float) -> list[Segment]:
    """Segments of a part at their times in all of the sound."""

    def later(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "start": round(item["start"] + seconds, 3), "end": round(item["end"] + seconds, 3)}

    return [
        {**later(segment), **({"words": [later(word) for word in segment["words"]]} if "words" in segment else {})}
        for segment in segments
    ]


def _inside(word: dict[str, Any], start: float, end: float) -> dict[str, Any]:
    times = {key: round(min(max(float(word[key]), start), end), 3) for key in ("start", "end")}
    return {**word, **times}
