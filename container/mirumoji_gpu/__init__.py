"""Functions that run beside the GPU: `transcribe` and `convert`; and `remux`, which needs none.

A package with the standard library only at import, because it is mounted as it is: into a Modal container, and into the
embedded GPU host. `modal` and `faster_whisper` are imported where they are used. Failures that the caller can do
something about come back as `{"ok": False, "error": {"code", "message"}}`; anything else is raised.
Progress goes to stdout as `MIRUMOJI {"stage": ..., "fraction": ...}`, one line each; other output is plain log.
"""

from __future__ import annotations

import os
from typing import Any

from .answers import answer
from .conversion import convert_file
from .transcription import transcribe_file

# Libraries of the engines report on their use over the network, and keep an ID on the disk, unless they are told not to.
for _name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_name, "1")


def transcribe(
    vol_fp: str,
    vol_id: str,
    output_format: str = "segments",
    *,
    w_model_args: dict[str, Any] | None = None,
    w_transcribe_args: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Speech of the media file `vol_fp` in the volume `vol_id` to `out/segments.json` beside it."""
    return answer(transcribe_file, vol_fp, vol_id, output_format, w_model_args, w_transcribe_args)


def convert(vol_fp: str, vol_id: str, to_mp4_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
    """The media file `vol_fp` in the volume `vol_id` to `out/output.mp4` beside it."""
    return answer(convert_file, vol_fp, vol_id, to_mp4_kwargs)


def remux(vol_fp: str, vol_id: str, to_mp4_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
    """The same where there is no GPU: for films that fit already. Others are answered with `NEEDS_GPU`."""
    return answer(convert_file, vol_fp, vol_id, to_mp4_kwargs, True)


def stays_warm() -> bool:
    """Asked after a call by the GPU host: whether the process has a model in memory that a next call could use."""
    from .whisper.model import is_loaded

    return is_loaded()
