"""Speech to timed segments."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .answers import VERSION
from .audio import extract_audio, is_ready
from .engines import choose_engine, refuse_unsupported
from .errors import Expected
from .ffmpeg import need_ffmpeg
from .mixdown import Mix
from .models import default_model_options, split_cache
from .options import (
    PART_DEFAULTS,
    SOURCE_DEFAULTS,
    TRANSCRIBE_DEFAULTS,
    Part,
    SourceOptions,
    parse_part,
    parse_source,
    with_defaults,
)
from .phase import OPPOSED_WARNING, is_opposed
from .probe import probe_file
from .progress import Progress, log
from .segments import moved, tidy
from .survey import damage, survey_file
from .tracks import choose_audio, shown_track, usable_audio
from .volume import download, open_volume, shown_name, upload


def transcribe_file(
    temp: Path,
    vol_fp: str,
    vol_id: str,
    output_format: str,
    model_args: dict[str, Any] | None,
    transcribe_args: dict[str, Any] | None,
) -> dict[str, Any]:
    # Everything that can be refused is refused before the first byte is copied.
    if output_format != "segments":
        raise Expected("OPTION_UNSUPPORTED", f"output_format {output_format!r} is not known; use 'segments'.")
    about_file = {**SOURCE_DEFAULTS, **PART_DEFAULTS}
    asked = with_defaults(transcribe_args, {**TRANSCRIBE_DEFAULTS, **about_file}, "transcribe option")
    part = parse_part(asked["part"])
    # A process may be asked again, for something else.
    Progress.part = None if part is None else part.number
    wanted = parse_source(asked, None if asked["language"] == "auto" else asked["language"])
    options = {key: value for key, value in asked.items() if key not in about_file}
    given, cache = split_cache(model_args)
    model_options = with_defaults(given, default_model_options(), "model option")
    need_ffmpeg()
    engine = choose_engine(options, model_options)
    refuse_unsupported(engine, options, model_options)
    model_options["cache"] = cache
    log(f"engine {engine.name}, model {engine.model}, language {options['language']}")

    volume = open_volume(vol_id)
    source = download(volume, vol_fp, temp)
    heard = _listen(source, vol_fp, wanted, temp / "audio.wav", options["clean_audio"], engine.pad_seconds, part)
    audio, media_seconds = heard.audio, heard.seconds
    source.unlink()

    progress = Progress("transcribe")
    started = time.monotonic()
    speech = engine.run(audio, options, model_options, media_seconds, progress)
    gpu_seconds = time.monotonic() - started
    progress.done()

    warnings = [*heard.warnings]
    segments = tidy(speech.segments, media_seconds)
    if part is not None:
        segments = moved(segments, part.start)
    if not segments:
        warnings.append("no speech was found")
    result = temp / "segments.json"
    written = "en" if options["task"] == "translate" else speech.language
    document = {"v": VERSION, "language": written, "segments": segments}
    result.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    name = "segments.json" if part is None else f"segments-{part.number:03d}.json"
    stored = upload(volume, result, vol_fp, name)
    return {
        "v": VERSION,
        "ok": True,
        **stored,
        "engine": engine.name,
        "model": engine.model,
        "language": speech.language,
        "languageProbability": _rounded(speech.language_probability),
        "mediaSeconds": round(media_seconds, 3),
        "speechSeconds": _rounded(speech.speech_seconds),
        "droppedSegments": speech.dropped_segments,
        "gpuSeconds": round(gpu_seconds, 3),
        "tracks": heard.tracks,
        "warnings": warnings,
    }


@dataclass(frozen=True)
class Heard:
    """The sound that is transcribed, and what is to be said of where it came from."""

    audio: Path
    seconds: float
    tracks: list[dict[str, Any]]
    warnings: list[str]


def _listen(
    source: Path,
    name: str,
    wanted: SourceOptions,
    audio: Path,
    clean: bool,
    pad_seconds: float,
    part: Part | None,
) -> Heard:
    probe = probe_file(source, name)
    if len(probe.streams) == 1 and is_ready(probe, probe.streams[0]):
        # The worker has chosen the track, and tells about it.
        stream = probe.streams[0]
        seconds = extract_audio(source, probe, stream, audio, clean=clean, pad_seconds=pad_seconds, part=part)
        # A FLAC that is piped does not say how long it is; one that does is somebody's own.
        warnings = damage(probe, survey_file(source, probe), stream) if probe.seconds else []
        return Heard(audio, seconds, [], warnings)
    if part is not None:
        raise Expected("OPTION_UNSUPPORTED", "parts are made of the 16 kHz mono FLAC that the worker sends only.")
    survey = survey_file(source, probe)
    usable = usable_audio(probe.streams, lambda stream: survey.count(stream) > 0)
    choice = choose_audio(usable, wanted.language, wanted.audio_track)
    if choice is None:
        raise Expected(
            "INPUT_NOT_MEDIA", f"{shown_name(name)} has no audio stream, so there is nothing to transcribe."
        )
    stream = choice.track.stream
    is_silent_sum = wanted.dual_mono == "both" and is_opposed(source, probe, stream)
    side: Mix = "difference" if is_silent_sum else wanted.dual_mono
    seconds = extract_audio(
        source,
        probe,
        stream,
        audio,
        joints=survey.joints_in(stream),
        side=side,
        clean=clean,
        pad_seconds=pad_seconds,
    )
    warnings = [*choice.warnings, *([OPPOSED_WARNING] if is_silent_sum else [])]
    warnings += damage(probe, survey, stream, seconds)
    return Heard(audio, seconds, [shown_track("audio", choice)], warnings)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
