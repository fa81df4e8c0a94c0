"""The arguments of an H.264 encode, and whether the GPU can do it."""

from __future__ import annotations

import contextlib
import functools
import re
import tempfile
from pathlib import Path
from typing import Any, Sequence

from .children import run_child
from .ffmpeg import SAFE_INPUT

NVENC_PRESETS = {"performance": "p4", "balanced": "p6", "quality": "p7"}

X264_PRESETS = {"performance": "veryfast", "balanced": "faster", "quality": "slow"}


@functools.lru_cache(maxsize=None)
def nvenc_works() -> bool:
    """Whether NVENC really encodes here: the encoder being listed says nothing about the driver or the GPU."""
    with tempfile.TemporaryDirectory(prefix="mirumoji-") as temp:
        picture = ["-f", "lavfi", "-i", "color=c=black:s=256x256:r=25:d=0.2"]
        argv = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", *picture]
        return run_child([*argv, "-c:v", "h264_nvenc", "-f", "null", "-"], Path(temp) / "nvenc.log") == 0


def fitted_size(stream: dict[str, Any], box: tuple[int, int]) -> tuple[int, int]:
    """Even frame size in square pixels: upright, inside the box, the aspect kept, never larger than the source."""
    width, height = float(stream["width"]), float(stream["height"])
    ratio = re.fullmatch(r"(\d+):(\d+)", str(stream.get("sample_aspect_ratio", "")))
    if ratio and int(ratio[1]) and int(ratio[2]):
        width *= int(ratio[1]) / int(ratio[2])
    rotation = 0.0
    with contextlib.suppress(KeyError, ValueError):
        rotation = float(stream["tags"]["rotate"])
    for side in stream.get("side_data_list", []):
        with contextlib.suppress(KeyError, ValueError):
            rotation = float(side["rotation"])
    if round(rotation / 90) % 2:
        width, height = height, width
    scale = min(1.0, box[0] / width, box[1] / height)

    def even(size: float, limit: float) -> int:
        nearest = round(size * scale / 2) * 2
        return max(2, nearest if nearest <= limit + 1e-6 else nearest - 2)

    return even(width, min(width, box[0])), even(height, min(height, box[1]))


def encode_arguments(
    source: Path, target: Path, indexes: Sequence[int], size: tuple[int, int], encoder: str, preset: str, bits: int
) -> list[str]:
    nvenc = encoder == "h264_nvenc"
    argv = [*(["-hwaccel", "cuda"] if nvenc else []), *SAFE_INPUT, "-i", f"file:{source}"]
    for index in indexes:
        argv += ["-map", f"0:{index}"]
    picture = f"scale={size[0]}:{size[1]}:flags=bicubic,setsar=1,format=yuv420p"
    argv += ["-sn", "-dn", "-map_chapters", "-1", "-vf", picture]
    argv += ["-c:v", encoder, "-preset", (NVENC_PRESETS if nvenc else X264_PRESETS)[preset]]
    argv += ["-rc", "vbr"] if nvenc else []
    argv += ["-b:v", str(bits), "-maxrate", str(bits * 3 // 2), "-bufsize", str(bits * 2)]
    if len(indexes) > 1:
        argv += ["-af", "aresample=async=1:first_pts=0", "-c:a", "aac", "-b:a", "128k", "-ac", "2"]
    return [*argv, "-movflags", "+faststart", "-f", "mp4", f"file:{target}"]
