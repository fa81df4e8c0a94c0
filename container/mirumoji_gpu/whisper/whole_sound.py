"""Whisper on everything, with its own times, a quarter of an hour in memory at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..engines.engine import Heard
from ..progress import Progress
from ..segments import Segment
from ..speech.clips import Clip
from ..speech.ghosts import Ghosts
from ..speech.pcm import Pcm
from ..speech.sentences import sentences_of
from ..speech.spans import Span
from ..speech.words import Word
from .decoder import SHARED, TEMPERATURE_LADDER, Phrase
from .language import find_language
from .model import load
from .segment import segment_of

WINDOW_SECONDS = 900.0
# Segments that begin within the last minute of a window are heard again with the next one.
OVERLAP_SECONDS = 60.0
CLIP_SECONDS = 30.0


def transcribe_whole(
    audio: Path, options: dict[str, Any], model_options: dict[str, Any], progress: Progress
) -> Heard:
    with Pcm(audio) as pcm:
        model = load(model_options, options["language"])
        language, probability = options["language"], None
        if language == "auto":
            language, probability = find_language(model, _samples(pcm), pcm, options["language_confidence"])
        written = "en" if options["task"] == "translate" else language
        ghosts = Ghosts(None)
        segments: list[Segment] = []
        at = 0.0
        while at < pcm.seconds:
            end = min(pcm.seconds, at + WINDOW_SECONDS)
            settled = end if end == pcm.seconds else end - OVERLAP_SECONDS
            following = settled
            for found in _decoded(model, pcm, at, end, language, options):
                if found.start + at >= settled:
                    break
                phrase = _phrase(found, at)
                for sentence in sentences_of(phrase.words, written):
                    if not ghosts.is_ghost(sentence, phrase.log_probability):
                        segments.append(segment_of(sentence, phrase))
                following = max(following, min(end, found.end + at))
                progress.set(min(0.999, (found.end + at) / pcm.seconds))
            at = following
    return Heard(segments, language, probability, dropped_segments=ghosts.dropped)


def _decoded(model: Any, pcm: Pcm, at: float, end: float, language: str, options: dict[str, Any]) -> Any:
    segments, _ = model.transcribe(
        pcm.read(at, end),
        **{name: options[name] for name in SHARED},
        language=language,
        task=options["task"],
        temperature=options["temperature"] or TEMPERATURE_LADDER,
        condition_on_previous_text=options["condition_on_previous_text"],
        hallucination_silence_threshold=options["hallucination_silence_threshold"],
        word_timestamps=True,
    )
    return segments


def _phrase(found: Any, at: float) -> Phrase:
    words = [
        Word(word.word, word.start + at, word.end + at, float(word.probability)) for word in found.words or []
    ]
    return Phrase(words, found.avg_logprob, found.no_speech_prob, found.compression_ratio)


def _samples(pcm: Pcm) -> list[Clip]:
    """Half minutes from one end to the other."""
    starts = [at for at in range(0, max(1, int(pcm.seconds)), int(CLIP_SECONDS))]
    return [Clip((Span(at, min(pcm.seconds, at + CLIP_SECONDS)),), ()) for at in starts]
