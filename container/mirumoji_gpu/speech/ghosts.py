"""Text that nobody said: what Whisper writes when it hears noise, music, or nothing."""

from __future__ import annotations

import re
import unicodedata
from typing import Sequence

import numpy as np

from .activity import HOP_SECONDS, Activity
from .words import Word, text_of

# How Whisper likes to end a video, as it learnt from its subtitles.
STOCK_ENDINGS = frozenset(
    {
        "ご視聴ありがとうございました",
        "ご視聴ありがとうございます",
        "ご清聴ありがとうございました",
        "最後までご視聴いただきありがとうございました",
        "チャンネル登録お願いします",
        "チャンネル登録をお願いします",
        "チャンネル登録よろしくお願いします",
        "高評価とチャンネル登録お願いします",
        "字幕視聴ありがとうございました",
        "おやすみなさい",
        "thanksforwatching",
        "thankyouforwatching",
        "thankyou",
        "thankyouverymuch",
        "pleasesubscribe",
        "pleasesubscribetomychannel",
        "subscribe",
        "subtitlesbytheamaraorgcommunity",
        "bye",
        "byebye",
        "you",
        "感谢观看",
        "谢谢观看",
        "謝謝觀看",
        "请不吝点赞订阅转发打赏支持明镜与点点栏目",
        "시청해주셔서감사합니다",
        "mbc뉴스이덕영입니다",
        "untertitelderamaraorgcommunity",
        "soustitresrealisésparlacommunautedamaraorg",
        "soustitresréalisésparlacommunautédamaraorg",
    }
)

# A sentence is one of these when the engine doubts it, or hardly any voice is under it.
LOW_PROBABILITY, LOW_LOG_PROBABILITY, LOW_SPEECH = 0.5, -0.7, 0.35
# Nobody speaks faster, in letters a second.
FASTEST = 30.0
LOOP = re.compile(r"(.{1,20}?)\1{5,}")


class Ghosts:
    """Drops them, and counts."""

    def __init__(self, activity: Activity | None, *, prompt: str | None = None) -> None:
        self.dropped = 0
        self._prompt = {_letters(part) for part in re.split(r"(?<=。)", prompt or "")} - {""}
        self._activity = activity
        self._last = ""
        self._times = 0

    def is_ghost(self, sentence: Sequence[Word], log_probability: float) -> bool:
        letters = _letters(text_of(sentence))
        self._times = self._times + 1 if letters == self._last else 0
        self._last = letters
        ghost = not letters or self._is_doubtful(sentence, letters, log_probability)
        self.dropped += ghost
        return ghost

    def _is_doubtful(self, sentence: Sequence[Word], letters: str, log_probability: float) -> bool:
        probability = float(np.mean([word.probability for word in sentence]))
        speech = self._speech(sentence[0].start, sentence[-1].end)
        if speech < LOW_SPEECH / 2:
            return True
        is_weak = probability < LOW_PROBABILITY or log_probability < LOW_LOG_PROBABILITY or speech < LOW_SPEECH
        is_loop = self._times >= 2 or LOOP.search(letters) is not None
        is_rushed = len(letters) > FASTEST * max(0.1, sentence[-1].end - sentence[0].start)
        is_stock = letters in STOCK_ENDINGS or letters in self._prompt
        return is_weak and (is_loop or is_rushed or is_stock)

    def _speech(self, start: float, end: float) -> float:
        """How sure the detector is of speech between two times; 1 where it did not listen."""
        if self._activity is None:
            return 1.0
        under = self._activity.speech[int(start / HOP_SECONDS) : int(end / HOP_SECONDS) + 1]
        return float(under.mean()) if len(under) else 0.0


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text)).lower()
