"""Submits jobs to mirumoji-worker over HTTP and follows them."""

from .client import BatchItem, Client, MirumojiError
from .types import Batch, ConvertRequest, Job, LayoutWish, ReformatRequest, SubtitleFormat, TranscribeRequest

__all__ = [
    "Batch",
    "BatchItem",
    "Client",
    "ConvertRequest",
    "Job",
    "LayoutWish",
    "MirumojiError",
    "ReformatRequest",
    "SubtitleFormat",
    "TranscribeRequest",
]
