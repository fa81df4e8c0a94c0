"""Engines and the model of this machine, as one JSON line: `python -m mirumoji_gpu.report`."""

from __future__ import annotations

import json
from typing import Any

from .engines import FINDERS
from .models import default_model_options, problem_of


def report() -> list[dict[str, Any]]:
    options = default_model_options()
    found = [engine for find in FINDERS.values() if (engine := find(options))]
    return [
        {
            "engine": engine.name,
            "model": engine.model,
            "problem": problem_of(str(options["model"])) if engine.name == "faster-whisper" else None,
        }
        for engine in found
    ]


if __name__ == "__main__":
    print(json.dumps(report()))
