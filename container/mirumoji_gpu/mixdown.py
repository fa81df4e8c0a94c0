"""Many channels to two or one: loudness stays, and nothing clips."""

from __future__ import annotations

import math
import re
from typing import Literal

from .tracks import Stream

Side = Literal["both", "left", "right"]
# `difference` is for channels in opposite phase, whose sum is silent.
Mix = Literal[Side, "difference"]
SIDES: tuple[Side, ...] = ("both", "left", "right")

# Gains of ITU-R BS.775 for each speaker of a side. The bass channel, which is left out there, is heard a little: some
# recorders have a voice in it. A name that a layout lacks counts nothing, so that one mix fits a sound that changes its
# layout inside the file.
_SHARED = {"FC": 0.71, "LFE": 0.5, "BC": 0.5, "TC": 0.5, "TFC": 0.5, "TBC": 0.5}
_OWN = {"F{}": 1.0, "F{}C": 0.71, "B{}": 0.71, "S{}": 0.71, "W{}": 0.71, "D{}": 1.0, "TF{}": 0.5, "TB{}": 0.5}
# Looks ahead by its attack, 5 ms, which sound comes later for it.
_LIMITER = "alimiter=limit=0.98:attack=5:release=50:level=disabled"


def mixdown(stream: Stream, channels: Literal[1, 2], side: Mix = "both") -> list[str]:
    """ffmpeg's filters for a stereo (2) or mono (1) mix; `side` takes one channel of a dual-mono broadcast."""
    count = int(stream.get("channels") or 2)
    if side == "difference":
        return [_pan(channels, ["0.5*FL+-0.5*FR+FC"] * channels)]
    if count > 1 and side != "both":
        mix = "FL" if side == "left" else "FR"
        return [_pan(channels, [mix] * channels)]
    if has_layout(stream):
        left, right = _side("L", count), _side("R", count)
        if channels == 2:
            return [_pan(2, [left, right]), *_limited(count)]
        # Half of both, as they are mostly alike; all of the middle, which each side has in part.
        return [_pan(1, [_sum({**_scaled("L", 0.5), **_scaled("R", 0.5), **_middle(count)})]), *_limited(count)]
    # Equal power: most of what recorders write so is one voice per track.
    mix = "+".join(f"{1 / math.sqrt(count):.4f}*c{number}" for number in range(count))
    return [_pan(channels, [mix] * channels), *_limited(count)]


def has_layout(stream: Stream) -> bool:
    """Whether the file says where each channel is heard; one and two channels need no word."""
    layout = str(stream.get("channel_layout", ""))
    is_named = layout not in ("", "unknown") and not re.fullmatch(r"\d+ channels.*", layout)
    return is_named or int(stream.get("channels") or 2) <= 2


def _side(letter: str, count: int) -> str:
    return _sum({**_scaled(letter, 1.0), **_middle(count)})


def _middle(count: int) -> dict[str, float]:
    return {**_SHARED, **({"FC": 1.0} if count == 1 else {})}


def _scaled(letter: str, factor: float) -> dict[str, float]:
    return {name.format(letter): gain * factor for name, gain in _OWN.items()}


def _sum(gains: dict[str, float]) -> str:
    return "+".join(f"{gain:g}*{name}" for name, gain in gains.items())


def _pan(channels: int, mixes: list[str]) -> str:
    layout = "mono" if channels == 1 else "stereo"
    return f"pan={layout}|" + "|".join(f"c{number}={mix}" for number, mix in enumerate(mixes))


def _limited(count: int) -> list[str]:
    return [_LIMITER] if count > 2 else []
