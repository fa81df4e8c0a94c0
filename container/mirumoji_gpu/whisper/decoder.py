"""Clips of speech to words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Sequence

import numpy as np

from ..progress import log
from ..speech.clips import Clip
from ..speech.pcm import SAMPLE_RATE, Pcm
from ..speech.words import Word

# Greedy first; hotter only for what fails the thresholds (this is what faster-whisper does by default).
TEMPERATURE_LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
GPU_BATCH = 16
# Options that are named in the same way by faster-whisper.
SHARED = (
    "beam_size best_of patience length_penalty repetition_penalty no_repeat_ngram_size compression_ratio_threshold "
    "log_prob_threshold no_speech_threshold initial_prompt hotwords"
).split()
ONLY_ONE_AT_A_TIME = ("condition_on_previous_text", "hallucination_silence_threshold")
# Whisper goes on in the style of what it takes for the text before: a mark is enough to get marks.
STYLE_PROMPTS = {"ja": "。"}
# A prompt beyond this is cut off by Whisper.
LONGEST_CONTEXT = 200


@dataclass(frozen=True)
class Phrase:
    """Text that Whisper wrote in one go, in the times of the media."""

    words: list[Word]
    log_probability: float
    no_speech_probability: float
    compression_ratio: float


class Decoder:
    """Decodes clips with one model, several at a time where that is faster."""

    def __init__(self, model: Any, options: dict[str, Any], language: str) -> None:
        self._model, self._options, self._language = model, options, language
        self._context = ""
        self._batch = self._batch_size()

    @property
    def style_prompt(self) -> str | None:
        return STYLE_PROMPTS.get(self._language) if self._options["task"] == "transcribe" else None

    def decode(self, clips: Sequence[Clip], pcm: Pcm) -> Iterator[tuple[Clip, list[Phrase]]]:
        """Each clip with what is said in it, in order."""
        at = 0
        while at < len(clips):
            taken = clips[at : at + self._batch]
            try:
                done = self._decode_together(taken, pcm) if self._batch > 1 else [self._decode_one(taken[0], pcm)]
            except RuntimeError as error:
                if self._batch == 1 or "out of memory" not in str(error):
                    raise
                self._batch = max(1, self._batch // 2)
                log(f"the GPU has not enough memory; {self._batch} stretches at a time from here")
                continue
            yield from zip(taken, done)
            at += len(taken)

    def _batch_size(self) -> int:
        asked = self._options["batch_size"]
        one_at_a_time = self._options["temperature"] > 0 or any(self._options[name] for name in ONLY_ONE_AT_A_TIME)
        if one_at_a_time:
            return 1
        return asked or (GPU_BATCH if self._model.model.device == "cuda" else 1)

    def _arguments(self) -> dict[str, Any]:
        arguments = {name: self._options[name] for name in SHARED}
        arguments["initial_prompt"] = self._options["initial_prompt"] or self.style_prompt
        return {**arguments, "language": self._language, "task": self._options["task"], "word_timestamps": True}

    def _decode_one(self, clip: Clip, pcm: Pcm) -> list[Phrase]:
        temperature = self._options["temperature"]
        arguments = self._arguments()
        if self._options["condition_on_previous_text"] and self._context:
            arguments["initial_prompt"] = self._context
        segments, _ = self._model.transcribe(
            clip.read(pcm),
            **arguments,
            temperature=temperature or TEMPERATURE_LADDER,
            condition_on_previous_text=self._options["condition_on_previous_text"],
            hallucination_silence_threshold=self._options["hallucination_silence_threshold"],
            without_timestamps=True,
        )
        phrases = [phrase for segment in segments if (phrase := _phrase(segment, clip, 0.0)).words]
        self._context = "".join(word.text for phrase in phrases for word in phrase.words)[-LONGEST_CONTEXT:]
        return phrases

    def _decode_together(self, clips: Sequence[Clip], pcm: Pcm) -> list[list[Phrase]]:
        from faster_whisper import BatchedInferencePipeline

        sounds = [clip.read(pcm) for clip in clips]
        ends = np.cumsum([len(sound) for sound in sounds])
        starts = ends - [len(sound) for sound in sounds]
        segments, _ = BatchedInferencePipeline(self._model).transcribe(
            np.concatenate(sounds),
            **self._arguments(),
            temperature=0.0,
            batch_size=len(clips),
            clip_timestamps=[
                {"start": start / SAMPLE_RATE, "end": end / SAMPLE_RATE} for start, end in zip(starts, ends)
            ],
            without_timestamps=True,
        )
        phrases: list[list[Phrase]] = [[] for _ in clips]
        for segment in segments:
            index = min(int(np.searchsorted(ends, segment.start * SAMPLE_RATE, "right")), len(clips) - 1)
            phrase = _phrase(segment, clips[index], starts[index] / SAMPLE_RATE)
            if phrase.words:
                phrases[index].append(phrase)
        return [
            self._decode_one(clip, pcm) if any(map(self._fails, said)) else said
            for clip, said in zip(clips, phrases)
        ]

    def _fails(self, phrase: Phrase) -> bool:
        """Whether a phrase needs the temperatures that a batch cannot have."""
        return (
            phrase.log_probability < self._options["log_prob_threshold"]
            or phrase.compression_ratio > self._options["compression_ratio_threshold"]
        )


def _phrase(segment: Any, clip: Clip, offset: float) -> Phrase:
    def moved(word: Any) -> Word:
        # Both ends belong to the piece that the middle is in.
        middle, half = (word.start + word.end) / 2 - offset, (word.end - word.start) / 2
        at = clip.in_media(middle)
        return Word(word.word, float(at - half), float(at + half), float(word.probability))

    return Phrase(
        [moved(word) for word in segment.words or []],
        float(segment.avg_logprob),
        float(segment.no_speech_prob),
        float(segment.compression_ratio),
    )
