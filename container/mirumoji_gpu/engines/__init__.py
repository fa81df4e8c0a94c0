"""The speech engines: which one runs a job."""

from __future__ import annotations

import os
from typing import Any

from ..errors import Expected
from ..models import default_model_options
from ..options import TRANSCRIBE_DEFAULTS
from . import faster_whisper, pocketsphinx, whisper_cpp
from .engine import Engine

# Mirumoji asks for these by itself, and PocketSphinx is on the CPU anyway: no reason to refuse a job.
MODEL_DEFAULTS_TOO = {
    ("model", "large-v3"),
    ("device", "cuda"),
    ("device", "cpu"),
    ("compute_type", "float16"),
    ("compute_type", "auto"),
}
FINDERS = {
    "faster-whisper": faster_whisper.find,
    "whisper.cpp": whisper_cpp.find,
    "pocketsphinx": pocketsphinx.find,
}


def installed_engines(model_options: dict[str, Any]) -> list[Engine]:
    """The engines that are here and may be used, the best first."""
    wanted = os.environ.get("MIRUMOJI_ENGINE", "")
    if wanted and wanted not in FINDERS:
        raise Expected("ENGINE_MISSING", f"MIRUMOJI_ENGINE is {wanted!r}; it must be one of {', '.join(FINDERS)}.")
    names = [wanted] if wanted else list(FINDERS)
    return [engine for engine in (FINDERS[name](model_options) for name in names) if engine]


def choose_engine(options: dict[str, Any], model_options: dict[str, Any]) -> Engine:
    """The best engine here that knows the language; never one that does not."""
    wanted = os.environ.get("MIRUMOJI_ENGINE", "")
    found = installed_engines(model_options)
    if not found:
        what = f"MIRUMOJI_ENGINE asks for {wanted}, but it is not installed" if wanted else "no speech engine was found"
        raise Expected(
            "ENGINE_MISSING",
            f"{what} beside the GPU; install faster-whisper, or whisper-cli with MIRUMOJI_WHISPER_CPP_MODEL naming "
            "its model file, or pocketsphinx with pocketsphinx-en-us (English only).",
        )
    language = options["language"]
    for engine in found:
        if language in engine.languages:
            return engine
    engines = ", ".join(f"{engine.name} (model {engine.model})" for engine in found)
    raise Expected(
        "LANGUAGE_UNSUPPORTED",
        f"no engine beside the GPU knows the language {language!r}; found: {engines}. Install faster-whisper, or "
        "whisper-cli with a multilingual model, or ask for a language they know.",
    )


def refuse_unsupported(engine: Engine, options: dict[str, Any], model_options: dict[str, Any]) -> None:
    refused = [
        key
        for given, defaults in ((options, TRANSCRIBE_DEFAULTS), (model_options, default_model_options()))
        for key, default in defaults.items()
        if given[key] != default and key not in engine.supported
        if (key, given[key]) not in (("model", engine.model), *MODEL_DEFAULTS_TOO)
    ]
    if refused:
        raise Expected(
            "OPTION_UNSUPPORTED",
            f"the engine {engine.name} cannot do {', '.join(refused)}; leave it out, or install faster-whisper.",
        )
    if engine.name == "whisper.cpp" and options["initial_prompt"] and not options["condition_on_previous_text"]:
        raise Expected(  # without context the prompt is dropped, and nobody would notice
            "OPTION_UNSUPPORTED",
            "the engine whisper.cpp takes initial_prompt only with condition_on_previous_text: true.",
        )
