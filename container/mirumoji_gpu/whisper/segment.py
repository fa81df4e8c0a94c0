"""Sentences as they are stored."""

from __future__ import annotations

from typing import Sequence

from ..segments import Segment
from ..speech.words import Word, text_of
from .decoder import Phrase


def segment_of(sentence: Sequence[Word], phrase: Phrase) -> Segment:
    return {
        "start": sentence[0].start,
        "end": sentence[-1].end,
        "text": text_of(sentence),
        "words": [
            {
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "text": word.text.strip(),
                "probability": round(word.probability, 3),
            }
            for word in sentence
            if word.text.strip()
        ],
        "avgLogProb": phrase.log_probability,
        "noSpeechProb": phrase.no_speech_probability,
        "compressionRatio": phrase.compression_ratio,
    }
