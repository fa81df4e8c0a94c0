"""faster-whisper, on the GPU or on the CPU."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any, Iterator

from ..errors import Expected
from ..models import missing_model, model_name
from ..options import TRANSCRIBE_DEFAULTS
from ..progress import Progress
from .engine import WHISPER_LANGUAGES, Engine, Heard

MODEL_OPTIONS = ("model", "device", "compute_type")


def find(model_options: dict[str, Any]) -> Engine | None:
    if "faster_whisper" not in sys.modules and importlib.util.find_spec("faster_whisper") is None:
        return None
    model = str(model_options["model"])
    languages = frozenset({"en"}) if model.endswith(".en") else WHISPER_LANGUAGES | {"auto"}
    supported = frozenset({*TRANSCRIBE_DEFAULTS, *MODEL_OPTIONS})
    return Engine("faster-whisper", model_name(model), languages, supported, _transcribe)


def _transcribe(
    audio: Path, options: dict[str, Any], model_options: dict[str, Any], seconds: float, progress: Progress
) -> Heard:
    if missing := missing_model(str(model_options["model"])):
        raise Expected("MODEL_MISSING", missing)
    with _failures_named():
        if options["vad_filter"]:
            from ..whisper.speech_first import transcribe_speech

            return transcribe_speech(audio, options, model_options, progress)
        from ..whisper.whole_sound import transcribe_whole

        return transcribe_whole(audio, options, model_options, progress)


@contextlib.contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except Expected:
        raise
    except Exception as error:
        traceback.print_exc()
        raise Expected("ENGINE_FAILED", f"faster-whisper failed: {type(error).__name__}: {error}") from error
