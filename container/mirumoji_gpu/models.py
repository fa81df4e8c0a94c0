"""Which Whisper model runs, and where it lies."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from .errors import Expected
from .progress import log

# The one that the image is built with. Running this file as a module fetches it.
DEFAULT_MODEL = "large-v3-turbo"
# Written last into the folder of a fetched model: without it the fetching was broken off.
COMPLETE = ".complete"


def default_model_options() -> dict[str, Any]:
    """Options of a call that gives none, from the environment of the machine beside the GPU."""
    return {
        "model": os.environ.get("MIRUMOJI_WHISPER_MODEL") or DEFAULT_MODEL,
        "device": os.environ.get("MIRUMOJI_WHISPER_DEVICE") or "auto",
        "compute_type": os.environ.get("MIRUMOJI_WHISPER_COMPUTE_TYPE") or "default",
    }


def split_cache(model_args: dict[str, Any] | None) -> tuple[dict[str, Any], str | None]:
    """Options of the model without `cache`, the folder where fetched models are kept, which no engine has to know."""
    options = dict(model_args or {})
    cache = options.pop("cache", None) or os.environ.get("MIRUMOJI_MODEL_CACHE")
    return options, None if cache is None else mounted(str(cache))


def mounted(folder: str) -> str:
    """Place of a mounted volume; a GPU host has it elsewhere than Modal, and says where."""
    places: dict[str, str] = json.loads(os.environ.get("MIRUMOJI_GPU_HOST_MOUNTS") or "{}")
    return places.get(folder, folder)


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


def unusable(model: str, cache: str | None) -> str | None:
    """Says why a model cannot be had, as far as that can be told without the network."""
    from faster_whisper.utils import available_models

    if os.path.isdir(model) or missing_model(model):
        return missing_model(os.path.abspath(model))
    if "/" in model or model in available_models() or kept(model, cache):
        return None
    names = ", ".join(available_models())
    return f"there is no Whisper model {model!r}; use one of {names}, a model of the Hugging Face Hub, or a folder"


def kept(model: str, cache: str | None) -> str | None:
    """Folder of a model that is here: in Hugging Face's own cache, as in our image, or in the one that was given."""
    from faster_whisper.utils import download_model

    if os.path.isdir(model):
        return model
    try:
        return str(download_model(model, local_files_only=True))
    except Exception:
        folder = _folder_in(cache, model)
        return str(folder) if folder and (folder / COMPLETE).is_file() else None


def locate(model: str, cache: str | None) -> str:
    """Folder of a model, which is fetched into the cache if it is nowhere; its name where there is no cache."""
    folder = _folder_in(cache, model)
    if folder is None:
        return model
    if found := kept(model, cache):
        return found
    from faster_whisper.utils import download_model

    log(f"fetching the model {model} into {folder.parent}")
    download_model(model, output_dir=str(folder))
    (folder / COMPLETE).touch()
    return str(folder)


def _folder_in(cache: str | None, model: str) -> Path | None:
    return Path(cache, re.sub(r"[^A-Za-z0-9._-]", "--", model)) if cache and os.path.isdir(cache) else None


def fetch(model: str) -> str:
    from faster_whisper.utils import download_model

    if os.path.isdir(model):
        return model
    try:
        return str(download_model(model))
    except Exception as error:
        raise Expected("MODEL_MISSING", f"the Whisper model {model!r} cannot be fetched: {error}") from error


if __name__ == "__main__":
    print(fetch(default_model_options()["model"]))
