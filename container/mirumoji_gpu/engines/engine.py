"""Interface of every engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ..progress import Progress
from ..segments import Segment


@dataclass(frozen=True)
class Heard:
    """Speech as an engine understood it."""

    segments: list[Segment]
    language: str
    """The one that was spoken."""
    language_probability: float | None = None
    """How sure the engine is of it, where it had to find out."""
    speech_seconds: float | None = None
    """How much of the sound is speech, where the engine looked for it."""
    dropped_segments: int = 0
    """Segments that nobody said."""


EngineRun = Callable[[Path, dict[str, Any], dict[str, Any], float, Progress], Heard]


@dataclass(frozen=True)
class Engine:
    """A speech engine that is installed here, and what it can do."""

    name: str
    model: str
    languages: frozenset[str]
    """Of them `auto`, where it can find out which one is spoken."""
    supported: frozenset[str]
    """Options it honours; of the others it takes only the default."""
    run: EngineRun
    pad_seconds: float = 0.0
    """Silence it needs at the end to finish the last utterance."""


WHISPER_LANGUAGES = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id "
    "is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd "
    "si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh".split()
)
