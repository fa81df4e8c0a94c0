"""ffmpeg and ffprobe, which open nothing but the file that they are given."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Sequence

from .children import last_words, run_child
from .errors import Expected
from .progress import Progress

# Containers that hold their media themselves. Playlists (HLS, DASH, concat) are left out on purpose: they make
# ffmpeg open other files of this machine.
INPUT_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,live_flv,asf,ogg,wav,w64,mp3,"
    "mp2,flac,aac,ac3,eac3,dts,truehd,aiff,au,caf,amr,gsm,wv,ape,tta,tak,opus,mxf,nut,gxf,rm,ivf,av1,obu,dv,vob,gif,"
    "wtv,yuv4mpegpipe,swf,nsv,bink,smk,roq,voc,adx,mpc,mpc8,spdif,loas,latm"
)

SAFE_INPUT = ["-protocol_whitelist", "file,pipe", "-format_whitelist", INPUT_FORMATS]


def need_ffmpeg() -> None:
    for program in ("ffmpeg", "ffprobe"):
        if not shutil.which(program):
            raise Expected("ENGINE_MISSING", f"{program} was not found; install the package ffmpeg beside the GPU.")


def run_ffmpeg(argv: Sequence[str], temp: Path, seconds: float, progress: Progress) -> tuple[int, str]:
    """Run ffmpeg with progress; gives its exit code and last words."""

    def on_line(line: str) -> None:
        key, _, value = line.partition("=")
        if key == "out_time_us" and value.lstrip("-").isdigit() and seconds > 0:
            progress.set(min(0.999, int(value) / 1e6 / seconds))

    log = temp / "ffmpeg.log"
    base = ["ffmpeg", "-hide_banner", "-nostdin", "-y", "-loglevel", "error", "-nostats", "-progress", "pipe:1"]
    return run_child([*base, *argv], log, on_line), last_words(log)
