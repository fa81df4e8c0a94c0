"""Speech to timed segments."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from .answers import VERSION
from .audio import extract_audio
from .engines import choose_engine, refuse_unsupported
from .errors import Expected
from .ffmpeg import need_ffmpeg
from .options import MODEL_DEFAULTS, TRANSCRIBE_DEFAULTS, with_defaults
from .probe import probe_file, seconds_of, shortfall, stream_of
from .progress import Progress, log
from .segments import tidy
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
    options = with_defaults(transcribe_args, TRANSCRIBE_DEFAULTS, "transcribe option")
    model_options = with_defaults(model_args, MODEL_DEFAULTS, "model option")
    need_ffmpeg()
    engine = choose_engine(options, model_options)
    refuse_unsupported(engine, options, model_options)
    log(f"engine {engine.name}, model {engine.model}, language {options['language']}")

    volume = open_volume(vol_id)
    source = download(volume, vol_fp, temp)
    probe = probe_file(source, vol_fp)
    stream = stream_of(probe, "audio")
    if stream is None:
        raise Expected(
            "INPUT_NOT_MEDIA", f"{shown_name(vol_fp)} has no audio stream, so there is nothing to transcribe."
        )
    audio = temp / "audio.wav"
    media_seconds = extract_audio(source, probe, stream, audio, options["clean_audio"], engine.pad_seconds)
    source.unlink()

    progress = Progress("transcribe")
    started = time.monotonic()
    raw = engine.run(audio, options, model_options, media_seconds, progress)
    gpu_seconds = time.monotonic() - started
    progress.done()

    warnings = shortfall(media_seconds, seconds_of(stream))
    segments = tidy(raw, media_seconds)
    if not segments:
        warnings.append("no speech was found")
    result = temp / "segments.json"
    document = {"v": VERSION, "language": options["language"], "segments": segments}
    result.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    stored = upload(volume, result, vol_fp, "segments.json")
    return {
        "v": VERSION,
        "ok": True,
        **stored,
        "engine": engine.name,
        "model": engine.model,
        "language": options["language"],
        "mediaSeconds": round(media_seconds, 3),
        "gpuSeconds": round(gpu_seconds, 3),
        "warnings": warnings,
    }
