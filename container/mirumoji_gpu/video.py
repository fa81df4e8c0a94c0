"""The encoders, and whether the GPU has them."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from .children import run_child
from .errors import Expected
from .ffmpeg import frame_times, listed
from .survey import StreamPackets
from .tracks import Stream

NVENC_PRESETS = {"performance": "p4", "balanced": "p6", "quality": "p7"}
X264_PRESETS = {"performance": "veryfast", "balanced": "faster", "quality": "slow"}
SVT_PRESETS = {"performance": "10", "balanced": "8", "quality": "5"}
CPU_ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
# Ticks a second of frames that come when they like.
FREE_TICKS = 90_000
# Seconds that a picture may be moved against the sound.
OFF_BEAT = 0.003


@dataclass(frozen=True)
class Rate:
    """Rate at which frames come, and the clock that has a tick for each of them."""

    average: Fraction
    tick: Fraction
    # The container counts far more frames than there are: nothing may be worked out from its rate.
    is_absurd: bool

    def arguments(self, is_doubled: bool) -> list[str]:
        tick = self.tick / 2 if is_doubled else self.tick
        return [*frame_times("vfr"), "-enc_time_base:v", f"{tick.numerator}:{tick.denominator}"]


def rate_of(stream: Stream, packets: StreamPackets | None, start_seconds: float) -> Rate:
    """A steady rate where the frames keep one from the very start; times as they are where they do not."""
    times = sorted(packets.times) if packets else []
    said = _rate(stream, "r_frame_rate")
    if len(times) < 3:
        steady = said if 0 < said <= 240 else Fraction(25)
        return Rate(steady, 1 / steady, False)
    average = Fraction((len(times) - 1) / max(times[-1] - times[0], 1e-3)).limit_denominator(1001)
    for rate in (said, _rate(stream, "avg_frame_rate")):
        if 0 < rate <= 240 and _keeps(times, rate):
            begins = (times[0] - start_seconds) * rate
            is_aligned = abs(begins - round(begins)) < OFF_BEAT * rate
            return Rate(rate, 1 / rate if is_aligned else Fraction(1, FREE_TICKS), rate > 2 * average)
    return Rate(average, Fraction(1, FREE_TICKS), said > 2 * average)


def _keeps(times: list[float], rate: Fraction) -> bool:
    """Whether every frame has a place of its own on the rate's grid, not far from its time."""
    step = float(1 / rate)
    places = [(time - times[0]) / step for time in times]
    taken = {round(place) for place in places}
    off = sum(abs(place - round(place)) * step > OFF_BEAT for place in places)
    return len(taken) == len(times) and off <= len(times) * 0.01


def _rate(stream: Stream, name: str) -> Fraction:
    try:
        return Fraction(str(stream.get(name, "0")))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


@functools.lru_cache(maxsize=None)
def nvenc_works(codec: str) -> bool:
    """Whether NVENC really encodes here: the encoder being listed says nothing about the driver or the GPU."""
    with tempfile.TemporaryDirectory(prefix="mirumoji-") as temp:
        picture = ["-f", "lavfi", "-i", "color=c=black:s=256x256:r=25:d=0.2"]
        argv = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", *picture]
        return run_child([*argv, "-c:v", f"{codec}_nvenc", "-f", "null", "-"], Path(temp) / "nvenc.log") == 0


def encoders_for(codec: str) -> list[str]:
    """NVENC where it works, then the processor's encoder."""
    cpu = CPU_ENCODERS[codec]
    found = [name for name in (f"{codec}_nvenc",) if nvenc_works(codec)]
    found += [cpu] if cpu in listed("encoders") else []
    if not found:
        raise Expected("ENGINE_MISSING", f"no encoder for {codec} was found beside the GPU; install ffmpeg with {cpu}.")
    return found


def encode_arguments(encoder: str, preset: str, bits: int, crf: int | None, rate: Rate) -> list[str]:
    argv = ["-c:v", encoder]
    if encoder.endswith("_nvenc"):
        argv += ["-preset", NVENC_PRESETS[preset], "-rc", "vbr"]
        if crf is None and rate.is_absurd:
            crf = 26  # a bit rate would be shared out among frames that do not exist
        argv += ["-cq", str(crf), "-b:v", "0"] if crf is not None else _bit_rate(bits)
    elif encoder == "libsvtav1":
        argv += ["-preset", SVT_PRESETS[preset]]
        argv += ["-crf", str(crf)] if crf is not None else ["-b:v", str(bits)]
    else:
        argv += ["-preset", X264_PRESETS[preset]]
        argv += ["-crf", str(crf)] if crf is not None else _bit_rate(bits)
        settings = ["log-level=none"] if encoder == "libx265" else []
        settings += [f"fps={rate.average.numerator}/{rate.average.denominator}"] if rate.is_absurd else []
        argv += [f"-{encoder[3:]}-params", ":".join(settings)] if settings else []
    return [*argv, *(["-tag:v", "hvc1"] if encoder in ("libx265", "hevc_nvenc") else [])]


def _bit_rate(bits: int) -> list[str]:
    return ["-b:v", str(bits), "-maxrate", str(bits * 3 // 2), "-bufsize", str(bits * 2)]
