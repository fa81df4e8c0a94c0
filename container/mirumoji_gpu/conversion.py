"""A film to MP4."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .answers import VERSION
from .errors import Expected
from .ffmpeg import need_ffmpeg, run_ffmpeg
from .options import CONVERT_DEFAULTS, parse_bitrate, parse_resolution, with_defaults
from .probe import duration_of, probe_file, shortfall, stream_of
from .progress import Progress, log
from .video import X264_PRESETS, encode_arguments, fitted_size, nvenc_works
from .volume import download, open_volume, shown_name, upload


def convert_file(temp: Path, vol_fp: str, vol_id: str, kwargs: dict[str, Any] | None) -> dict[str, Any]:
    options = with_defaults(kwargs, CONVERT_DEFAULTS, "convert option")
    box = parse_resolution(options["resolution"])
    bits = parse_bitrate(options["target_bitrate"])
    preset = options["preset"]
    if preset not in X264_PRESETS:
        raise Expected("OPTION_UNSUPPORTED", f"preset {preset!r} is not known; use {', '.join(X264_PRESETS)}.")
    need_ffmpeg()

    volume = open_volume(vol_id)
    source = download(volume, vol_fp, temp)
    probe = probe_file(source, vol_fp)
    video, audio = stream_of(probe, "video"), stream_of(probe, "audio")
    if video is None:
        raise Expected("INPUT_NOT_MEDIA", f"{shown_name(vol_fp)} has no video stream, so there is nothing to convert.")
    size = fitted_size(video, box)
    indexes = [stream["index"] for stream in (video, audio) if stream]
    expected_seconds = duration_of(probe)

    progress = Progress("convert")
    warnings: list[str] = []
    target = temp / "output.mp4"
    encoders = ["h264_nvenc", "libx264"] if nvenc_works() else ["libx264"]
    if encoders[0] != "h264_nvenc":
        warnings.append("no NVENC, used libx264")
    started = time.monotonic()
    while True:
        encoder = encoders.pop(0)
        argv = encode_arguments(source, target, indexes, size, encoder, preset, bits)
        code, tail = run_ffmpeg(argv, temp, expected_seconds, progress)
        if code == 0:
            break
        if not encoders:
            raise Expected("ENGINE_FAILED", f"ffmpeg ({encoder}) failed with exit code {code}: {tail}")
        log(f"{encoder} failed with exit code {code}: {tail}")
        warnings.append("NVENC failed, used libx264")
    gpu_seconds = time.monotonic() - started
    progress.done()

    made = probe_file(target, "the converted file")
    media_seconds = duration_of(made)
    warnings += shortfall(media_seconds, expected_seconds)
    stored = upload(volume, target, vol_fp, "output.mp4")
    return {
        "v": VERSION,
        "ok": True,
        **stored,
        "encoder": encoder,
        "width": size[0],
        "height": size[1],
        "mediaSeconds": round(media_seconds, 3),
        "gpuSeconds": round(gpu_seconds, 3),
        "warnings": warnings,
    }
