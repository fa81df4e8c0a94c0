"""Which Whisper model runs, and where it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .errors import Expected

# The one that the image is built with. Running this file as a module fetches it.
DEFAULT_MODEL = "large-v3-turbo"


def default_model_options() -> dict[str, Any]:
    """Options of a call that gives none, from the environment of the machine beside the GPU."""
    return {
        "model": os.environ.get("MIRUMOJI_WHISPER_MODEL") or DEFAULT_MODEL,
        "device": os.environ.get("MIRUMOJI_WHISPER_DEVICE") or "auto",
        "compute_type": os.environ.get("MIRUMOJI_WHISPER_COMPUTE_TYPE") or "default",
    }


def model_name(model: str) -> str:
    """As it is shown: of a path only its end."""
    return Path(model).name if os.path.isabs(model) else model


def missing_model(model: str) -> str | None:
    """Says what is missing of a model that is a path; others are fetched where they are not in the cache."""
    if not (os.path.isabs(model) or model.startswith(".")):
        return None
    missing = [name for name in ("model.bin", "config.json") if not Path(model, name).is_file()]
    if not missing:
        return None
    return (
        f"the Whisper model {model!r} has no {' and no '.join(missing)}; MIRUMOJI_WHISPER_MODEL must name a folder "
        "with a CTranslate2 model"
    )


def problem_of(model: str) -> str | None:
    """Says why a model cannot be loaded without the network, if that is so."""
    if os.path.isdir(model) or missing_model(model):
        return missing_model(os.path.abspath(model))
    from faster_whisper.utils import download_model

    try:
        download_model(model, local_files_only=True)
    except Exception:
        return f"the Whisper model {model!r} is not here yet; the first job has to fetch it"
    return None


def fetch(model: str) -> str:
    from faster_whisper.utils import download_model

    if os.path.isdir(model):
        return model
    try:
        return download_model(model)
    except Exception as error:
        raise Expected("MODEL_MISSING", f"the Whisper model {model!r} cannot be fetched: {error}") from error


if __name__ == "__main__":
    print(fetch(default_model_options()["model"]))
