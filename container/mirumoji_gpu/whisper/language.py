"""Which language is spoken."""

from __future__ import annotations

from typing import Any, Sequence

from ..errors import Expected
from ..speech.clips import Clip
from ..speech.pcm import Pcm

# A film may begin with a song, or with a few words in another language.
MOST_CLIPS = 5


def find_language(model: Any, clips: Sequence[Clip], pcm: Pcm, confidence: float) -> tuple[str, float]:
    """
    The language that most of some clips, taken from all over the sound, are in, and how sure the model is of it.

    Raises `LANGUAGE_UNCERTAIN` when it is less sure than `confidence`.
    """
    step = max(1, len(clips) // MOST_CLIPS)
    chosen = clips[::step][:MOST_CLIPS]
    sums: dict[str, float] = {}
    for clip in chosen:
        _, _, probabilities = model.detect_language(audio=clip.read(pcm))
        for language, probability in probabilities:
            sums[language] = sums.get(language, 0.0) + probability / len(chosen)
    language = max(sums, key=lambda name: sums[name])
    if sums[language] < confidence:
        raise Expected(
            "LANGUAGE_UNCERTAIN",
            f"the language is probably {language!r}, but only with {sums[language]:.2f} where {confidence:.2f} is "
            "asked for; name the language, or lower language_confidence.",
        )
    return language, sums[language]
