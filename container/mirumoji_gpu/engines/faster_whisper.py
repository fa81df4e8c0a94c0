"""faster-whisper, on the GPU or on the CPU."""

from __future__ import annotations

import functools
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from ..errors import Expected
from ..options import MODEL_DEFAULTS, TRANSCRIBE_DEFAULTS
from ..progress import Progress
from ..segments import Segment
from .engine import Engine, WHISPER_LANGUAGES

# Greedy first; hotter only for a window that fails the thresholds (this is what faster-whisper does by default).
TEMPERATURE_LADDER = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def find(model_options: dict[str, Any]) -> Engine | None:
    if "faster_whisper" not in sys.modules and importlib.util.find_spec("faster_whisper") is None:
        return None
    model = str(model_options["model"])
    languages = frozenset({"en"}) if model.endswith(".en") else WHISPER_LANGUAGES
    supported = frozenset(TRANSCRIBE_DEFAULTS) | frozenset(MODEL_DEFAULTS)
    return Engine("faster-whisper", model, languages, supported, _transcribe)


def _transcribe(
    audio: Path, options: dict[str, Any], model_options: dict[str, Any], seconds: float, progress: Progress
) -> list[Segment]:
    language = options["language"]
    arguments = {key: value for key, value in options.items() if key != "clean_audio"}
    if options["temperature"] == 0:
        arguments["temperature"] = TEMPERATURE_LADDER
    segments: list[Segment] = []
    try:
        model = _load(model_options["model"], model_options["device"], model_options["compute_type"])
        if language not in getattr(model, "supported_languages", [language]):
            raise Expected("LANGUAGE_UNSUPPORTED", f"the model {model_options['model']} does not know {language!r}.")
        found, _info = model.transcribe(str(audio), task="transcribe", word_timestamps=False, **arguments)
        for item in found:  # a generator: the work happens here
            segment = {"start": float(item.start), "end": float(item.end), "text": item.text}
            segment["avgLogProb"] = getattr(item, "avg_logprob", None)
            segment["noSpeechProb"] = getattr(item, "no_speech_prob", None)
            segment["compressionRatio"] = getattr(item, "compression_ratio", None)
            segments.append(segment)
            progress.set(min(0.999, segment["end"] / seconds))
    except Expected:
        raise
    except Exception as error:
        traceback.print_exc()
        raise Expected("ENGINE_FAILED", f"faster-whisper failed: {type(error).__name__}: {error}") from error
    return segments


@functools.lru_cache(maxsize=1)
def _load(model: str, device: str, compute_type: str) -> Any:
    """Loaded once for a warm container."""
    from faster_whisper import WhisperModel

    return WhisperModel(model, device=device, compute_type=compute_type)
