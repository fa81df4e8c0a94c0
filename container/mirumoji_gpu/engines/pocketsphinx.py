"""PocketSphinx 5prealpha or 5, English only."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from ..children import last_words, run_child
from ..errors import Expected
from ..progress import Progress
from ..segments import group_words
from .engine import Engine, Heard

MODEL_FOLDERS = (
    "/usr/share/pocketsphinx/model/en-us",
    "/usr/local/share/pocketsphinx/model/en-us",
)


def find(_model_options: dict[str, Any]) -> Engine | None:
    if not _model_folder() or not (shutil.which("pocketsphinx_continuous") or shutil.which("pocketsphinx")):
        return None
    supported = frozenset({"language", "clean_audio", "vad_filter"})
    return Engine("pocketsphinx", "en-us", frozenset({"en"}), supported, _transcribe, pad_seconds=1.0)


def _model_folder() -> Path | None:
    for candidate in (os.environ.get("MIRUMOJI_POCKETSPHINX_MODEL"), *MODEL_FOLDERS):
        if candidate and Path(candidate, "en-us.lm.bin").is_file():
            return Path(candidate)
    return None


def _transcribe(
    audio: Path, _options: dict[str, Any], _model_options: dict[str, Any], seconds: float, progress: Progress
) -> Heard:
    folder = _model_folder()
    model = ["-hmm", f"{folder}/en-us", "-lm", f"{folder}/en-us.lm.bin", "-dict", f"{folder}/cmudict-en-us.dict"]
    if shutil.which("pocketsphinx_continuous"):  # 5prealpha: lines of `word start end probability`
        argv = ["pocketsphinx_continuous", *model, "-infile", str(audio), "-time", "yes"]
    else:  # 5: a JSON object per utterance
        argv = ["pocketsphinx", *model, "live", str(audio)]
    words: list[tuple[str, float, float]] = []

    def on_line(line: str) -> None:
        words.extend(_words(line))
        if words:
            progress.set(min(0.999, words[-1][2] / seconds))

    log = audio.with_name("engine.log")
    code = run_child(argv, log, on_line)
    if code != 0:
        raise Expected("ENGINE_FAILED", f"{argv[0]} failed with exit code {code}: {last_words(log)}")
    return Heard(group_words(words), "en")


def _words(line: str) -> list[tuple[str, float, float]]:
    """Words of an output line of either version, without silence, noise and marks of pronunciation variants."""
    found: list[tuple[str, float, float]] = []
    timed = re.fullmatch(r"(\S+) (\d+\.\d+) (\d+\.\d+) (\S+)", line)
    if timed:
        found.append((timed[1], float(timed[2]), float(timed[3])))
    elif line.startswith("{"):  # it prints an empty list and a bad number in ways that are not JSON
        document = json.loads(re.sub(r":-?(nan|inf)\b", ":0", line.replace('"w":]', '"w":[]')))
        found += [(item["t"], float(item["b"]), float(item["b"]) + float(item["d"])) for item in document["w"]]
    return [
        (re.sub(r"\(\d+\)$", "", word), start, end)
        for word, start, end in found
        if not re.fullmatch(r"<.*>|\[.*\]|\+\+.*\+\+", word) and word != "(NULL)"
    ]
