"""A film that fits already: its packets into MP4 as they are."""

from __future__ import annotations

from pathlib import Path

from .encoding import Film, named
from .options import ConvertOptions
from .picture import is_hdr
from .probe import seconds_of

COPIED_AUDIO = {"aac", "mp3", "ac3", "eac3", "alac"}


def why_not_copied(film: Film, options: ConvertOptions) -> str | None:
    """The first thing about a film that only an encoder can change; None when there is nothing."""
    stream = film.video.stream
    codec, pixels = stream.get("codec_name"), stream.get("pix_fmt")
    if codec != options.codec:
        return f"the picture is {codec}, not {options.codec}"
    if pixels not in ("yuv420p", "yuvj420p"):
        return f"its pixels are {pixels}, not yuv420p"
    if is_hdr(stream):
        return "the picture is HDR"
    if film.deinterlacer:
        return "the picture is interlaced"
    width, height = int(stream["width"]), int(stream["height"])
    if max(width, height) > max(options.box) or min(width, height) > min(options.box):
        return f"{width}x{height} is larger than {options.box[0]}x{options.box[1]}"
    bits = int(film.probe.format.get("bit_rate") or 0)
    if options.crf is None and bits > options.bits * 2:
        return f"{bits // 1000} kbit/s is far more than {options.bits // 1000}"
    if film.survey.joints_in(stream):
        return "it was joined from several recordings"
    for track in film.audio:
        if track.stream.get("codec_name") not in COPIED_AUDIO:
            return f"audio track {track.number} is {track.stream.get('codec_name')}"
    if not seconds_of(film.probe.format):
        return "it does not say how long it is"
    return None


def copy_arguments(film: Film, target: Path) -> list[str]:
    argv = [*film.probe.input_options, "-i", f"file:{film.source}", "-map", f"0:{film.video.index}"]
    for track in [*film.audio, *film.subtitles]:
        argv += ["-map", f"0:{track.index}"]
    argv += ["-map_chapters", "-1", "-c", "copy", *(["-c:s", "mov_text"] if film.subtitles else [])]
    argv += [*named(film.audio, "a"), *named(film.subtitles, "s")]
    return [*argv, *(["-tag:v", "hvc1"] if film.video.stream.get("codec_name") == "hevc" else [])] + [
        "-write_tmcd",
        "0",
        "-movflags",
        "+faststart",
        "-f",
        "mp4",
        f"file:{target}",
    ]
