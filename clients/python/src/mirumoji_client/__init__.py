"""Submits jobs to mirumoji-worker over HTTP and follows them."""

from .client import Client, MirumojiError
from .types import ConvertRequest, Job, LayoutWish, ReformatRequest, SubtitleFormat, TranscribeRequest

__all__ = [
    "Client",
    "ConvertRequest",
    "Job",
    "LayoutWish",
    "MirumojiError",
    "ReformatRequest",
    "SubtitleFormat",
    "TranscribeRequest",
]
