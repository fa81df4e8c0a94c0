"""Options of a caller, with their defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .errors import Expected
from .mixdown import SIDES, Side

# Mirumoji's defaults. A value equal to these means "the engine's own way" to an engine that lacks the option.
TRANSCRIBE_DEFAULTS: dict[str, Any] = {
    "language": "ja",
    "beam_size": 5,
    "best_of": 5,
    "patience": 1.0,
    "length_penalty": 1.0,
    "temperature": 0.0,
    "compression_ratio_threshold": 2.0,
    "log_prob_threshold": -1.0,
    "no_speech_threshold": 0.3,
    "condition_on_previous_text": False,
    "initial_prompt": None,
    "hotwords": None,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "hallucination_silence_threshold": None,
    "batch_size": None,
    "task": "transcribe",
    "language_confidence": 0.5,
    "vad_filter": True,
    "vad_threshold": 0.5,
    "vad_min_speech_ms": 100,
    "vad_min_silence_ms": 1000,
    "vad_speech_pad_ms": 500,
    "clean_audio": False,
}

# Options of a transcription that are about the file and no engine's.
SOURCE_DEFAULTS: dict[str, Any] = {"audio_track": None, "dual_mono": "both"}
# The part of a film that is to be heard; others do the rest of it.
PART_DEFAULTS: dict[str, Any] = {"part": None}

CONVERT_DEFAULTS: dict[str, Any] = {
    "resolution": "1280x720",
    "target_bitrate": "2500k",
    "preset": "balanced",
    "codec": "h264",
    "crf": None,
    "copy": False,
    "deinterlace": "auto",
    "language": None,
    "keep_all_audio": True,
    "keep_subtitles": True,
    **SOURCE_DEFAULTS,
}
PRESETS = ("performance", "balanced", "quality")
BIT_RATES = (32_000, 400_000_000)


@dataclass(frozen=True)
class SourceOptions:
    """Choice of the sound of a file."""

    language: str | None
    audio_track: int | None
    dual_mono: Side


@dataclass(frozen=True)
class Part:
    """A part of the sound, in seconds of all of it."""

    number: int
    start: float
    end: float


@dataclass(frozen=True)
class ConvertOptions:
    box: tuple[int, int]
    bits: int
    preset: str
    codec: str
    crf: int | None
    copy: bool
    deinterlace: str
    all_audio: bool
    keep_subtitles: bool
    source: SourceOptions


def with_defaults(given: dict[str, Any] | None, defaults: dict[str, Any], what: str) -> dict[str, Any]:
    unknown = sorted(set(given or {}) - set(defaults))
    if unknown:
        raise Expected("OPTION_UNSUPPORTED", f"{what} {unknown[0]!r} is not known; known are {', '.join(defaults)}.")
    return {key: default if (given or {}).get(key) is None else given[key] for key, default in defaults.items()}


def parse_source(options: dict[str, Any], language: str | None) -> SourceOptions:
    number = options["audio_track"]
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        raise Expected("OPTION_UNSUPPORTED", f"audio_track {number!r} is not understood; count the tracks from 1.")
    return SourceOptions(language, number, _one_of("dual_mono", options["dual_mono"], SIDES))


def parse_part(value: Any) -> Part | None:
    if value is None:
        return None
    try:
        part = Part(int(value["number"]), float(value["start"]), float(value["end"]))
        if part.number >= 0 and 0 <= part.start < part.end:
            return part
    except (KeyError, TypeError, ValueError):
        pass
    raise Expected("OPTION_UNSUPPORTED", f"part {value!r} is not understood; it has a number, a start and an end.")


def parse_convert(kwargs: dict[str, Any] | None) -> ConvertOptions:
    options = with_defaults(kwargs, CONVERT_DEFAULTS, "convert option")
    crf = options["crf"]
    if crf is not None and (not isinstance(crf, int) or not 0 <= crf <= 51):
        raise Expected("OPTION_UNSUPPORTED", f"crf {crf!r} is not understood; it is a whole number from 0 to 51.")
    return ConvertOptions(
        box=parse_resolution(options["resolution"]),
        bits=parse_bitrate(options["target_bitrate"]),
        preset=_one_of("preset", options["preset"], PRESETS),
        codec=_one_of("codec", options["codec"], ("h264", "hevc", "av1")),
        crf=crf,
        copy=bool(options["copy"]),
        deinterlace=_one_of("deinterlace", options["deinterlace"], ("auto", "double", "off")),
        all_audio=bool(options["keep_all_audio"]),
        keep_subtitles=bool(options["keep_subtitles"]),
        source=parse_source(options, options["language"]),
    )


def parse_resolution(text: Any) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", str(text))
    if not match:
        raise Expected("OPTION_UNSUPPORTED", f"resolution {text!r} is not understood; write it like 1280x720.")
    return int(match[1]), int(match[2])


def parse_bitrate(text: Any) -> int:
    match = re.fullmatch(r"([1-9]\d{0,8})([kM]?)", str(text))
    bits = int(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]] if match else 0
    if not BIT_RATES[0] <= bits <= BIT_RATES[1]:
        raise Expected(
            "OPTION_UNSUPPORTED",
            f"target_bitrate {text!r} is not understood; write it like 2500k or 4M, from 32k to 400M.",
        )
    return bits


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise Expected("OPTION_UNSUPPORTED", f"{name} {value!r} is not known; use {', '.join(allowed)}.")
    return value
