"""The Whisper model in memory."""

from __future__ import annotations

import functools
import os
from typing import Any

from .. import stopwatch
from ..errors import Expected
from ..models import locate, model_name
from ..progress import log


def load(model_options: dict[str, Any], language: str) -> Any:
    """
    The model, ready to work.

    Raises `LANGUAGE_UNSUPPORTED` when it does not know the language, `MODEL_MISSING` when it cannot be had.
    """
    name, device, compute_type = (str(model_options[key]) for key in ("model", "device", "compute_type"))
    with stopwatch.part("load"):
        model = _load(name, device, compute_type, model_options["cache"])
    known = getattr(model, "supported_languages", [language])
    if language != "auto" and language not in known:
        raise Expected("LANGUAGE_UNSUPPORTED", f"the model {model_name(name)} does not know {language!r}.")
    return model


def is_loaded() -> bool:
    return _load.cache_info().currsize > 0


@functools.lru_cache(maxsize=1)
def _load(model: str, device: str, compute_type: str, cache: str | None) -> Any:
    """Kept for the next call of a warm process."""
    import ctranslate2
    from faster_whisper import WhisperModel
    from tqdm import tqdm

    # Its thread looks after progress bars, which nobody sees here.
    tqdm.monitor_interval = 0
    # Text that is decoded again at a higher temperature is drawn by lot: by the same one each time.
    ctranslate2.set_random_seed(1)
    log(f"loading the model {model_name(model)}")
    if compute_type == "default" and not _runs_on_gpu(device):
        # Stored numbers are wide ones, which take a CPU twice the time for the same words.
        compute_type = "int8"
    try:
        return WhisperModel(locate(model, cache), device=device, compute_type=compute_type, cpu_threads=_cores())
    except Exception as error:
        if not _is_download_failure(error):
            raise
        raise Expected(
            "MODEL_MISSING",
            f"the Whisper model {model!r} is not beside the GPU and cannot be fetched: {error}; put it into the "
            "image, or let MIRUMOJI_WHISPER_MODEL name its folder.",
        ) from error


def _runs_on_gpu(device: str) -> bool:
    import ctranslate2

    return device == "cuda" or (device == "auto" and ctranslate2.get_cuda_device_count() > 0)


def _cores() -> int:
    """As many as this process may use; more threads than those wait for each other."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 4)


def _is_download_failure(error: Exception) -> bool:
    """Whether the model is not here; errors of its loading come from CTranslate2."""
    return type(error).__module__.split(".")[0] in {"huggingface_hub", "httpx", "requests", "httpx2"} or isinstance(
        error, (ConnectionError, FileNotFoundError, ValueError)
    )
