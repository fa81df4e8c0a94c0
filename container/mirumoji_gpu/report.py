"""Engines and the model of this machine, as one JSON line: `python -m mirumoji_gpu.report [MODEL]`."""

from __future__ import annotations

import json
import sys
from typing import Any

from .engines import installed_engines
from .models import default_model_options, kept, split_cache, unusable


def report(model_args: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The engines, the best first; `problem` says what is wrong with the model, `isUsable` whether it can be had."""
    given, cache = split_cache(model_args)
    options = {**default_model_options(), **given}
    model = str(options["model"])
    return [
        {
            "engine": engine.name,
            "model": engine.model,
            "languages": sorted(engine.languages),
            **_state(model, cache, engine.name == "faster-whisper"),
        }
        for engine in installed_engines(options)
    ]


def _state(model: str, cache: str | None, has_model: bool) -> dict[str, Any]:
    if not has_model:
        return {"problem": None, "isUsable": True}
    reason = unusable(model, cache)
    if reason is None and kept(model, cache) is None:
        return {"problem": f"the Whisper model {model!r} is not here yet; the first job has to fetch it", "isUsable": True}
    return {"problem": reason, "isUsable": reason is None}


if __name__ == "__main__":
    print(json.dumps(report({"model": sys.argv[1]} if len(sys.argv) > 1 else None)))
