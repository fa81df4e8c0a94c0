"""ffmpeg and ffprobe, which open nothing but the file that they are given."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from typing import Callable

from .errors import Expected
from .progress import Progress

# Containers that hold their media themselves. Playlists (HLS, DASH, concat) are left out on purpose: they make
# ffmpeg open other files of this machine.
INPUT_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,live_flv,asf,ogg,wav,w64,mp3,"
    "mp2,flac,aac,ac3,eac3,dts,truehd,aiff,au,caf,amr,gsm,wv,ape,tta,tak,opus,mxf,nut,gxf,rm,ivf,av1,obu,dv,vob,gif,"
    "wtv,yuv4mpegpipe,apng,swf,nsv,bink,smk,roq,voc,adx,mpc,mpc8,spdif,loas,latm"
)

SAFE_INPUT = ["-protocol_whitelist", "file,pipe", "-format_whitelist", INPUT_FORMATS]

# A damaged file is decoded as far as it goes, however little that is.
QUIET = ["ffmpeg", "-hide_banner", "-nostdin", "-y", "-loglevel", "error", "-nostats", "-max_error_rate", "1"]


def need_ffmpeg() -> None:
    for program in ("ffmpeg", "ffprobe"):
        if not shutil.which(program):
            raise Expected("ENGINE_MISSING", f"{program} was not found; install the package ffmpeg beside the GPU.")


def progress_reader(progress: Progress, seconds: float) -> Callable[[str], None]:
    """Reads what `-progress` prints of something that lasts so long."""

    def on_line(line: str) -> None:
        key, _, value = line.partition("=")
        if key == "out_time_us" and value.lstrip("-").isdigit() and seconds > 0:
            progress.set(min(0.999, int(value) / 1e6 / seconds))

    return on_line


@functools.lru_cache(maxsize=None)
def listed(what: str) -> frozenset[str]:
    """Names that `ffmpeg -filters` or `-encoders` lists."""
    lines = _answer(f"-{what}").splitlines()
    return frozenset(fields[1] for line in lines if len(fields := line.split()) > 1)


@functools.lru_cache(maxsize=None)
def frame_times(mode: str) -> tuple[str, str]:
    """The option for frame times, whose name changed with ffmpeg 5.1."""
    version = re.match(r"ffmpeg version n?(\d+)\.(\d+)", _answer("-version"))
    is_old = version is not None and (int(version[1]), int(version[2])) < (5, 1)
    return ("-vsync" if is_old else "-fps_mode", mode)


def _answer(question: str) -> str:
    argv = ["ffmpeg", question]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
