"""Submits jobs to mirumoji-worker over HTTP and follows them."""

from .client import Client, MirumojiError
from .types import ConvertRequest, Job, SubtitleFormat, TranscribeRequest

__all__ = ["Client", "ConvertRequest", "Job", "MirumojiError", "SubtitleFormat", "TranscribeRequest"]
