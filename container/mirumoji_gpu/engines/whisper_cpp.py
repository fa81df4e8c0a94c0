"""whisper.cpp, by its program `whisper-cli`."""

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
from ..segments import Segment
from .engine import WHISPER_LANGUAGES, Engine, Heard


def find(_model_options: dict[str, Any]) -> Engine | None:
    path = os.environ.get("MIRUMOJI_WHISPER_CPP_MODEL", "")
    if not shutil.which("whisper-cli") or not path or not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        head = file.read(8)
    # ggml header: the magic, then the vocabulary, which is smaller in English-only models. whisper-cli would not
    # refuse another language with such a model, it would quietly write English.
    english_only = head[:4] == b"lmgg" and int.from_bytes(head[4:8], "little") < 51_865
    model = re.sub(r"^ggml-|\.bin$", "", os.path.basename(path))
    languages = frozenset({"en"}) if english_only or model.endswith(".en") else WHISPER_LANGUAGES
    supported = {"language", "beam_size", "best_of", "temperature", "log_prob_threshold", "no_speech_threshold"}
    supported |= {"condition_on_previous_text", "initial_prompt", "clean_audio", "device", "vad_filter"}
    return Engine("whisper.cpp", model, languages, frozenset(supported), _transcribe)


def _transcribe(
    audio: Path, options: dict[str, Any], model_options: dict[str, Any], seconds: float, progress: Progress
) -> Heard:
    output = audio.with_name("whisper")
    threads = min(8, os.cpu_count() or 4)
    argv = ["whisper-cli", "-m", os.environ["MIRUMOJI_WHISPER_CPP_MODEL"], "-f", str(audio), "-t", str(threads)]
    argv += ["-oj", "-of", str(output), "-l", options["language"]]
    argv += ["-bs", str(options["beam_size"]), "-bo", str(options["best_of"])]
    argv += ["-lpt", str(options["log_prob_threshold"]), "-nth", str(options["no_speech_threshold"])]
    argv += [] if options["condition_on_previous_text"] else ["-mc", "0"]
    argv += ["-tp", str(options["temperature"]), "-nf"] if options["temperature"] else []
    argv += ["--prompt", options["initial_prompt"]] if options["initial_prompt"] else []
    vad_model = os.environ.get("MIRUMOJI_WHISPER_CPP_VAD_MODEL")
    argv += ["--vad", "-vm", vad_model] if options["vad_filter"] and vad_model else []
    argv += ["-ng"] if model_options["device"] == "cpu" else []

    log = audio.with_name("engine.log")

    def on_line(line: str) -> None:  # "[00:00:00.000 --> 00:00:02.500]  text", while it works
        match = re.match(r"\[[\d:.]+ --> (\d+):(\d+):([\d.]+)\]", line)
        if match:
            done = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
            progress.set(min(0.999, done / seconds))

    code = run_child(argv, log, on_line)
    result = output.with_name(output.name + ".json")
    if code != 0 or not result.is_file():  # it exits with 0 after many errors
        raise Expected("ENGINE_FAILED", f"whisper-cli failed with exit code {code}: {last_words(log)}")
    document = json.loads(result.read_text(encoding="utf-8", errors="replace"))
    language = document.get("result", {}).get("language", options["language"])
    if language != options["language"]:
        raise Expected("LANGUAGE_UNSUPPORTED", f"whisper-cli's model wrote {language!r}, not {options['language']!r}.")
    segments: list[Segment] = [
        {"start": item["offsets"]["from"] / 1000, "end": item["offsets"]["to"] / 1000, "text": item["text"]}
        for item in document["transcription"]
    ]
    return Heard(segments, language)
