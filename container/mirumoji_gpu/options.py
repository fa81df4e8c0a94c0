"""Options of a caller, with their defaults."""

from __future__ import annotations

import re
from typing import Any

from .errors import Expected

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
    "vad_filter": False,
    "clean_audio": False,
}

MODEL_DEFAULTS: dict[str, Any] = {"model": "large-v3", "device": "auto", "compute_type": "default"}

CONVERT_DEFAULTS: dict[str, Any] = {"resolution": "1280x720", "target_bitrate": "2500k", "preset": "balanced"}


def with_defaults(given: dict[str, Any] | None, defaults: dict[str, Any], what: str) -> dict[str, Any]:
    unknown = sorted(set(given or {}) - set(defaults))
    if unknown:
        raise Expected("OPTION_UNSUPPORTED", f"{what} {unknown[0]!r} is not known; known are {', '.join(defaults)}.")
    return {key: default if (given or {}).get(key) is None else given[key] for key, default in defaults.items()}


def parse_resolution(text: Any) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", str(text))
    if not match:
        raise Expected("OPTION_UNSUPPORTED", f"resolution {text!r} is not understood; write it like 1280x720.")
    return int(match[1]), int(match[2])


def parse_bitrate(text: Any) -> int:
    match = re.fullmatch(r"([1-9]\d{0,6})([kM]?)", str(text))
    if not match:
        raise Expected("OPTION_UNSUPPORTED", f"target_bitrate {text!r} is not understood; write it like 2500k or 4M.")
    return int(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]
