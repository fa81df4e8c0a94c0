"""A film to MP4."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Sequence

from .answers import VERSION
from .children import last_words, run_pipeline
from .encoding import Film, film_of, programs_for
from .errors import Expected
from .ffmpeg import QUIET, need_ffmpeg, progress_reader
from .options import parse_convert
from .probe import Probe, probe_file
from .progress import Progress, log
from .remux import copy_arguments, why_not_copied
from .survey import damage
from .tracks import tracks_of
from .video import encoders_for
from .volume import download, open_volume, upload


# Share of a film's packets that make a picture.
LEAST_PICTURES = 0.45


def convert_file(
    temp: Path, vol_fp: str, vol_id: str, kwargs: dict[str, Any] | None, only_copy: bool = False
) -> dict[str, Any]:
    options = parse_convert(kwargs)
    need_ffmpeg()
    encoders = [] if only_copy else encoders_for(options.codec)

    volume = open_volume(vol_id)
    source = download(volume, vol_fp, temp)
    film = film_of(source, vol_fp, options)

    progress = Progress("convert")
    warnings: list[str] = [*film.warnings]
    target = temp / "output.mp4"
    started = time.monotonic()
    refusal = why_not_copied(film, options) if options.copy else "not asked for"
    if only_copy and refusal:
        raise Expected("NEEDS_GPU", f"the film has to be encoded: {refusal}")
    if options.copy and refusal:
        warnings.append(f"encoded, not copied: {refusal}")
    if not refusal:
        encoder, size = "copy", (int(film.video.stream["width"]), int(film.video.stream["height"]))
        _run([copy_arguments(film, target)], film, temp, progress, "copy")
    else:
        size = film.size
        encoder = _encode(film, options, encoders, target, temp, progress, warnings)
    gpu_seconds = time.monotonic() - started
    progress.done()

    made = probe_file(target, "the converted file")
    warnings += damage(film.probe, film.survey, film.video.stream) or _lost(made, film)
    stored = upload(volume, target, vol_fp, "output.mp4")
    return {
        "v": VERSION,
        "ok": True,
        **stored,
        "encoder": encoder,
        "width": size[0],
        "height": size[1],
        "mediaSeconds": round(made.seconds, 3),
        "gpuSeconds": round(gpu_seconds, 3),
        "tracks": film.shown_tracks,
        "warnings": warnings,
    }


def _lost(made: Probe, film: Film) -> list[str]:
    """Warnings when packets are there and what they hold is not. Two packets may make one picture, of fields."""
    warnings = []
    pictures = next((int(stream.get("nb_frames", 0)) for stream in made.streams if stream["codec_type"] == "video"), 0)
    packets = film.survey.count(film.video.stream)
    if pictures < packets * LEAST_PICTURES:
        warnings.append(f"only {pictures} of {packets} pictures could be decoded; the file is damaged")
    tracks = len(tracks_of(made.streams, "audio"))
    if tracks < len(film.audio):
        warnings.append(f"only {tracks} of {len(film.audio)} audio tracks could be decoded; the file is damaged")
    return warnings


def _encode(
    film: Film,
    options: Any,
    encoders: Sequence[str],
    target: Path,
    temp: Path,
    progress: Progress,
    warnings: list[str],
) -> str:
    """Encodes with the first encoder that can; gives its name."""
    if not encoders[0].endswith("_nvenc"):
        warnings.append(f"no NVENC, used {encoders[0]}")
    ways = [(name, on_gpu) for name in encoders for on_gpu in ((True, False) if film.stays_on_gpu(name) else (False,))]
    while True:
        encoder, on_gpu = ways.pop(0)
        try:
            _run(programs_for(film, options, target, encoder, on_gpu), film, temp, progress, encoder)
            return encoder
        except Expected as error:
            if not ways:
                raise
            log(str(error))
            if ways[0][0] != encoder:
                warnings.append(f"NVENC failed, used {ways[0][0]}")


def _run(programs: Sequence[Sequence[str]], film: Film, temp: Path, progress: Progress, what: str) -> None:
    logs = [temp / f"ffmpeg-{number}.log" for number in range(len(programs))]
    last = [*QUIET, "-progress", "pipe:1", *programs[-1]]
    argv = [*([*QUIET, *program] for program in programs[:-1]), last]
    codes = run_pipeline(argv, logs, progress_reader(progress, film.seconds))
    if codes[-1]:
        raise Expected("ENGINE_FAILED", f"ffmpeg ({what}) failed with exit code {codes[-1]}: {last_words(logs[-1])}")
    if any(codes):
        raise Expected("ENGINE_FAILED", f"ffmpeg could not decode the audio: {last_words(logs[0])}")
