"""Whisper on what is speech, with times that are those of the speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..progress import Progress
from ..segments import Segment
from ..engines.engine import Heard
from ..speech.activity import listen
from ..speech.alignment import align
from ..speech.clips import Clip, make_clips
from ..speech.ghosts import Ghosts
from ..speech.pcm import Pcm
from ..speech.sentences import sentences_of
from ..speech.spans import find_spans
from ..speech.words import Word
from .decoder import Decoder, Phrase
from .language import find_language
from .model import load
from .segment import segment_of


def transcribe_speech(
    audio: Path, options: dict[str, Any], model_options: dict[str, Any], progress: Progress
) -> Heard:
    with Pcm(audio) as pcm:
        activity = listen(pcm)
        spans = find_spans(
            activity, threshold=options["vad_threshold"], min_speech=options["vad_min_speech_ms"] / 1000
        )
        speech_seconds = sum(span.seconds for span in spans)
        if not spans:
            return Heard([], options["language"], speech_seconds=0.0)
        pad, silence = options["vad_speech_pad_ms"] / 1000, options["vad_min_silence_ms"] / 1000
        clips = list(make_clips(spans, pcm.seconds, pad=pad, longest_silence=silence))
        model = load(model_options, options["language"])
        language, probability = options["language"], None
        if language == "auto":
            language, probability = find_language(model, clips, pcm, options["language_confidence"])
        written = "en" if options["task"] == "translate" else language
        decoder = Decoder(model, options, language)
        ghosts = Ghosts(activity, prompt=decoder.style_prompt)
        segments: list[Segment] = []
        for clip, phrases in decoder.decode(clips, pcm):
            words = [word for phrase in phrases for word in phrase.words]
            kept = _without_ghosts(words, phrases, clip, written, ghosts)
            # Times that a ghost had belong to the words around it.
            for sentence in sentences_of(align(kept, clip.spans, written), written):
                segments.append(segment_of(sentence, _phrase_of(sentence, phrases)))
            progress.set(min(0.999, clip.spans[-1].end / pcm.seconds))
    return Heard(segments, language, probability, speech_seconds, ghosts.dropped)


def _without_ghosts(
    words: list[Word], phrases: list[Phrase], clip: Clip, language: str, ghosts: Ghosts
) -> list[Word]:
    sentences = list(sentences_of(align(words, clip.spans, language), language))
    starts = [sum(map(len, sentences[:index])) for index in range(len(sentences))]
    return [
        word
        for start, sentence in zip(starts, sentences)
        if not ghosts.is_ghost(sentence, _phrase_of(sentence, phrases).log_probability)
        for word in words[start : start + len(sentence)]
    ]


def _phrase_of(sentence: list[Word], phrases: list[Phrase]) -> Phrase:
    """The phrase that the sentence is from; a clip has one, or a few."""
    text = sentence[0].text
    holding = (phrase for phrase in phrases if any(word.text == text for word in phrase.words))
    return next(holding, phrases[0])
