"""What runs beside the GPU: `transcribe` and `convert`.

One file, standard library only at import, because it is mounted as it is: into a Modal container, and into the
embedded GPU host. `modal` and `faster_whisper` are imported where they are used. Failures that the caller can do
something about come back as `{"ok": False, "error": {"code", "message"}}`; anything else is raised.
Progress goes to stdout as `MIRUMOJI {"stage": ..., "fraction": ...}`, one line each; other output is plain log.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import io
import json
import math
import os
import posixpath
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

VERSION = 1
SAMPLE_RATE = 16_000

# Mirumoji's defaults. A value equal to these means "the engine's own way" to an engine that lacks the option.
TRANSCRIBE_DEFAULTS: dict[str, Any] = {
    "language": "ja",
    "beam_size": 5,
    "best_of": 5,
    "patience": 1.0,
    "length_penalty": 1.0,
    "temperature": 0.0,
    "compression_ratio_threshold": 2.0,
    "log_prob_threshold": -1.0,
    "no_speech_threshold": 0.3,
    "condition_on_previous_text": False,
    "initial_prompt": None,
    "vad_filter": False,
    "clean_audio": False,
}
MODEL_DEFAULTS: dict[str, Any] = {"model": "large-v3", "device": "auto", "compute_type": "default"}
# Mirumoji asks for these by itself, and PocketSphinx is on the CPU anyway: no reason to refuse a job.
MODEL_DEFAULTS_TOO = {("device", "cuda"), ("device", "cpu"), ("compute_type", "float16"), ("compute_type", "auto")}
CONVERT_DEFAULTS: dict[str, Any] = {"resolution": "1280x720", "target_bitrate": "2500k", "preset": "balanced"}
NVENC_PRESETS = {"performance": "p4", "balanced": "p6", "quality": "p7"}
X264_PRESETS = {"performance": "veryfast", "balanced": "faster", "quality": "slow"}
# Greedy first; hotter only for a window that fails the thresholds (this is what faster-whisper does by default).
TEMPERATURE_LADDER = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
WHISPER_LANGUAGES = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id "
    "is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd "
    "si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh".split()
)
# Containers that hold their media themselves. Playlists (HLS, DASH, concat) are left out on purpose: they make
# ffmpeg open other files of this machine.
INPUT_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,live_flv,asf,ogg,wav,w64,mp3,"
    "mp2,flac,aac,ac3,eac3,dts,truehd,aiff,au,caf,amr,gsm,wv,ape,tta,tak,opus,mxf,nut,gxf,rm,ivf,av1,obu,dv,vob,gif,"
    "wtv,yuv4mpegpipe,swf,nsv,bink,smk,roq,voc,adx,mpc,mpc8,spdif,loas,latm"
)
SAFE_INPUT = ["-protocol_whitelist", "file,pipe", "-format_whitelist", INPUT_FORMATS]
POCKETSPHINX_MODELS = (
    "/usr/share/pocketsphinx/model/en-us",
    "/usr/local/share/pocketsphinx/model/en-us",
)


def transcribe(
    vol_fp: str,
    vol_id: str,
    output_format: str = "segments",
    *,
    w_model_args: dict[str, Any] | None = None,
    w_transcribe_args: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Speech of the media file `vol_fp` in the volume `vol_id` to `out/segments.json` beside it."""
    return _answer(_transcribe, vol_fp, vol_id, output_format, w_model_args, w_transcribe_args)


def convert(vol_fp: str, vol_id: str, to_mp4_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
    """The media file `vol_fp` in the volume `vol_id` to `out/output.mp4` beside it."""
    return _answer(_convert, vol_fp, vol_id, to_mp4_kwargs)


# ---------------------------------------------------------------------------------------------- the two jobs


def _transcribe(
    temp: Path,
    vol_fp: str,
    vol_id: str,
    output_format: str,
    model_args: dict[str, Any] | None,
    transcribe_args: dict[str, Any] | None,
) -> dict[str, Any]:
    # Everything that can be refused is refused before the first byte is copied.
    if output_format != "segments":
        raise Expected("OPTION_UNSUPPORTED", f"output_format {output_format!r} is not known; use 'segments'.")
    options = _with_defaults(transcribe_args, TRANSCRIBE_DEFAULTS, "transcribe option")
    model_options = _with_defaults(model_args, MODEL_DEFAULTS, "model option")
    _need_ffmpeg()
    engine = _choose_engine(options, model_options)
    _refuse_unsupported(engine, options, model_options)
    _log(f"engine {engine.name}, model {engine.model}, language {options['language']}")

    volume = _volume(vol_id)
    source = _download(volume, vol_fp, temp)
    probe = _probe(source, vol_fp)
    stream = _stream(probe, "audio")
    if stream is None:
        raise Expected("INPUT_NOT_MEDIA", f"{_name(vol_fp)} has no audio stream, so there is nothing to transcribe.")
    audio = temp / "audio.wav"
    media_seconds = _extract_audio(source, probe, stream, audio, options["clean_audio"], engine.pad_seconds)
    source.unlink()

    progress = Progress("transcribe")
    started = time.monotonic()
    raw = engine.run(audio, options, model_options, media_seconds, progress)
    gpu_seconds = time.monotonic() - started
    progress.done()

    warnings = _shortfall(media_seconds, _seconds(stream))
    segments = _tidy(raw, media_seconds)
    if not segments:
        warnings.append("no speech was found")
    result = temp / "segments.json"
    document = {"v": VERSION, "language": options["language"], "segments": segments}
    result.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    stored = _upload(volume, result, vol_fp, "segments.json")
    return {
        "v": VERSION,
        "ok": True,
        **stored,
        "engine": engine.name,
        "model": engine.model,
        "language": options["language"],
        "mediaSeconds": round(media_seconds, 3),
        "gpuSeconds": round(gpu_seconds, 3),
        "warnings": warnings,
    }


def _convert(temp: Path, vol_fp: str, vol_id: str, kwargs: dict[str, Any] | None) -> dict[str, Any]:
    options = _with_defaults(kwargs, CONVERT_DEFAULTS, "convert option")
    box = _parse_resolution(options["resolution"])
    bits = _parse_bitrate(options["target_bitrate"])
    preset = options["preset"]
    if preset not in X264_PRESETS:
        raise Expected("OPTION_UNSUPPORTED", f"preset {preset!r} is not known; use {', '.join(X264_PRESETS)}.")
    _need_ffmpeg()

    volume = _volume(vol_id)
    source = _download(volume, vol_fp, temp)
    probe = _probe(source, vol_fp)
    video, audio = _stream(probe, "video"), _stream(probe, "audio")
    if video is None:
        raise Expected("INPUT_NOT_MEDIA", f"{_name(vol_fp)} has no video stream, so there is nothing to convert.")
    size = _fit(video, box)
    indexes = [stream["index"] for stream in (video, audio) if stream]
    expected_seconds = _duration(probe)

    progress = Progress("convert")
    warnings: list[str] = []
    target = temp / "output.mp4"
    encoders = ["h264_nvenc", "libx264"] if _nvenc_works() else ["libx264"]
    if encoders[0] != "h264_nvenc":
        warnings.append("no NVENC, used libx264")
    started = time.monotonic()
    while True:
        encoder = encoders.pop(0)
        argv = _encode_argv(source, target, indexes, size, encoder, preset, bits)
        code, tail = _ffmpeg(argv, temp, expected_seconds, progress)
        if code == 0:
            break
        if not encoders:
            raise Expected("ENGINE_FAILED", f"ffmpeg ({encoder}) failed with exit code {code}: {tail}")
        _log(f"{encoder} failed with exit code {code}: {tail}")
        warnings.append("NVENC failed, used libx264")
    gpu_seconds = time.monotonic() - started
    progress.done()

    made = _probe(target, "the converted file")
    media_seconds = _duration(made)
    warnings += _shortfall(media_seconds, expected_seconds)
    stored = _upload(volume, target, vol_fp, "output.mp4")
    return {
        "v": VERSION,
        "ok": True,
        **stored,
        "encoder": encoder,
        "width": size[0],
        "height": size[1],
        "mediaSeconds": round(media_seconds, 3),
        "gpuSeconds": round(gpu_seconds, 3),
        "warnings": warnings,
    }


# ------------------------------------------------------------------------------- failures, options, progress


class Expected(Exception):
    """A failure that the caller can do something about; `code` is one of the product's error codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _answer(job: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Run a job in a temporary directory that is gone afterwards, whatever happens."""
    try:
        with _sigterm_unwinds(), tempfile.TemporaryDirectory(prefix="mirumoji-") as temp:
            return job(Path(temp), *args)
    except Expected as error:
        _log(f"{error.code}: {error}")
        return {"v": VERSION, "ok": False, "error": {"code": error.code, "message": str(error)}}


@contextlib.contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that children and files go; a handler of the container's own is kept."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not ours:
        yield
        return

    def stop(signum: int, _frame: Any) -> None:
        signal.signal(signum, signal.SIG_IGN)  # a second one must not interrupt the clean-up
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _with_defaults(given: dict[str, Any] | None, defaults: dict[str, Any], what: str) -> dict[str, Any]:
    unknown = sorted(set(given or {}) - set(defaults))
    if unknown:
        raise Expected("OPTION_UNSUPPORTED", f"{what} {unknown[0]!r} is not known; known are {', '.join(defaults)}.")
    return {key: default if (given or {}).get(key) is None else given[key] for key, default in defaults.items()}


def _parse_resolution(text: Any) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", str(text))
    if not match:
        raise Expected("OPTION_UNSUPPORTED", f"resolution {text!r} is not understood; write it like 1280x720.")
    return int(match[1]), int(match[2])


def _parse_bitrate(text: Any) -> int:
    match = re.fullmatch(r"([1-9]\d{0,6})([kM]?)", str(text))
    if not match:
        raise Expected("OPTION_UNSUPPORTED", f"target_bitrate {text!r} is not understood; write it like 2500k or 4M.")
    return int(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]


class Progress:
    """Progress of one stage: never backwards, at most four lines a second beside the first and the last."""

    def __init__(self, stage: str) -> None:
        self.stage, self.fraction, self.at = stage, -1.0, 0.0
        self.lock = threading.Lock()  # the SDK reports transfers from its own thread
        self.set(0.0)

    def set(self, fraction: float) -> None:
        fraction = round(min(1.0, max(0.0, fraction)), 4)
        with self.lock:
            now = time.monotonic()
            if fraction <= self.fraction or (0 < fraction < 1 and now - self.at < 0.25):
                return
            self.fraction, self.at = fraction, now
            _log("MIRUMOJI " + json.dumps({"stage": self.stage, "fraction": fraction}))

    def done(self) -> None:
        self.set(1.0)


def _log(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _name(vol_fp: str) -> str:
    return repr(posixpath.basename(vol_fp))


# ------------------------------------------------------------------------------------------------- the volume


class _CountingFile(io.BufferedWriter):
    """A local file that reports how many bytes were written to it."""

    def __init__(self, path: Path, on_bytes: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._seen, self._on_bytes = 0, on_bytes

    def write(self, data: Any) -> int:
        count = super().write(data)
        self._seen += count
        self._on_bytes(self._seen)
        return count


def _volume(vol_id: str) -> Any:
    import modal

    return modal.Volume.from_id(vol_id)


def _download(volume: Any, vol_fp: str, temp: Path) -> Path:
    """Copy the input to local disk. Of its name only a harmless extension is kept (some demuxers look at it)."""
    progress = Progress("download")
    extension = posixpath.splitext(vol_fp)[1]
    target = temp / ("input" + (extension if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", extension) else ""))
    size = 0
    with contextlib.suppress(Exception):  # only to know how far we are; reading the file tells what is wrong
        size = next(int(entry.size) for entry in volume.listdir(vol_fp))
    with _CountingFile(target, lambda seen: progress.set(seen / size * 0.999 if size else 0.0)) as file:
        if hasattr(volume, "read_file_into_fileobj"):
            volume.read_file_into_fileobj(vol_fp, file)
        else:
            for chunk in volume.read_file(vol_fp):
                file.write(chunk)
    if size and target.stat().st_size != size:
        raise OSError(f"{_name(vol_fp)} has {size} bytes in the volume, {target.stat().st_size} arrived")
    progress.done()
    return target


def _upload(volume: Any, local: Path, vol_fp: str, name: str) -> dict[str, Any]:
    """Puts a result beside the input; its digest lets the other end see that it arrived whole."""
    progress = Progress("upload")
    remote = posixpath.join(posixpath.dirname(vol_fp), "out", name)
    with volume.batch_upload(force=True) as batch:  # force: a repeated call writes the same file again
        batch.put_file(str(local), remote)
    progress.done()
    return {"path": remote, "bytes": local.stat().st_size, "sha256": _sha256(local)}


def _sha256(local: Path) -> str:
    digest = hashlib.sha256()
    with local.open("rb") as source:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------ subprocesses


@functools.lru_cache(maxsize=None)
def _leash() -> tuple[str, ...]:
    """A prefix that makes the kernel kill the child when this process dies, even by SIGKILL; empty if there is none."""
    prefix = ("setpriv", "--pdeathsig", "KILL")
    if not shutil.which(prefix[0]):
        return ()
    check = [*prefix, prefix[0], "--version"]
    works = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    return prefix if works else ()


def _run(argv: Sequence[str], log: Path, on_line: Callable[[str], None] | None = None) -> int:
    """Run a child to its end: stdout to `on_line`, stderr to the file `log`. It never outlives this function."""
    with log.open("wb") as stderr:
        child = subprocess.Popen(
            [*_leash(), *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
        )
        try:
            assert child.stdout is not None
            for line in io.TextIOWrapper(child.stdout, encoding="utf-8", errors="replace"):
                if on_line:
                    on_line(line.rstrip("\n"))
            return child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(timeout=2)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def _tail(log: Path, lines: int = 5) -> str:
    """The last words of a child, short enough for an error message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        text = file.read().decode("utf-8", "replace")
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:])[-1000:] or "it said nothing"


def _need_ffmpeg() -> None:
    for program in ("ffmpeg", "ffprobe"):
        if not shutil.which(program):
            raise Expected("ENGINE_MISSING", f"{program} was not found; install the package ffmpeg beside the GPU.")


def _ffmpeg(argv: Sequence[str], temp: Path, seconds: float, progress: Progress) -> tuple[int, str]:
    """Run ffmpeg with progress; gives its exit code and last words."""

    def on_line(line: str) -> None:
        key, _, value = line.partition("=")
        if key == "out_time_us" and value.lstrip("-").isdigit() and seconds > 0:
            progress.set(min(0.999, int(value) / 1e6 / seconds))

    log = temp / "ffmpeg.log"
    base = ["ffmpeg", "-hide_banner", "-nostdin", "-y", "-loglevel", "error", "-nostats", "-progress", "pipe:1"]
    return _run([*base, *argv], log, on_line), _tail(log)


# ----------------------------------------------------------------------------------------------- media details


def _probe(path: Path, name: str) -> dict[str, Any]:
    lines: list[str] = []
    log = path.with_name("ffprobe.log")
    show = ["-show_format", "-show_streams", "-of", "json"]
    code = _run(["ffprobe", "-v", "error", *SAFE_INPUT, *show, "-i", f"file:{path}"], log, lines.append)
    if code != 0:
        reason = _tail(log, 1).replace(f"file:{path}", "the file")
        raise Expected("INPUT_NOT_MEDIA", f"{_name(name)} is no audio or video file that ffmpeg reads: {reason}")
    return json.loads("\n".join(lines))


def _stream(probe: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The first stream of a kind that can be decoded; cover pictures are no video."""
    for stream in probe.get("streams", []):
        cover = (stream.get("disposition") or {}).get("attached_pic")
        if stream.get("codec_type") == kind and stream.get("codec_name") not in (None, "unknown") and not cover:
            return stream
    return None


def _seconds(part: dict[str, Any]) -> float:
    """How long a stream or a file says it is; 0 if it does not say."""
    with contextlib.suppress(KeyError, ValueError):
        seconds = float(part["duration"])
        return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
    return 0.0


def _duration(probe: dict[str, Any]) -> float:
    return _seconds(probe.get("format", {})) or max(map(_seconds, probe.get("streams", [])), default=0.0)


def _shortfall(seconds: float, expected: float) -> list[str]:
    """A warning when a file ends before the length that it promised."""
    short = seconds < expected - max(1.0, expected * 0.02)
    return [f"only {seconds:.1f} of {expected:.1f} s could be decoded; the file is damaged"] if short else []


def _fit(stream: dict[str, Any], box: tuple[int, int]) -> tuple[int, int]:
    """Even frame size in square pixels: upright, inside the box, the aspect kept, never larger than the source."""
    width, height = float(stream["width"]), float(stream["height"])
    ratio = re.fullmatch(r"(\d+):(\d+)", str(stream.get("sample_aspect_ratio", "")))
    if ratio and int(ratio[1]) and int(ratio[2]):
        width *= int(ratio[1]) / int(ratio[2])
    rotation = 0.0
    with contextlib.suppress(KeyError, ValueError):
        rotation = float(stream["tags"]["rotate"])
    for side in stream.get("side_data_list", []):
        with contextlib.suppress(KeyError, ValueError):
            rotation = float(side["rotation"])
    if round(rotation / 90) % 2:
        width, height = height, width
    scale = min(1.0, box[0] / width, box[1] / height)

    def even(size: float, limit: float) -> int:
        nearest = round(size * scale / 2) * 2
        return max(2, nearest if nearest <= limit + 1e-6 else nearest - 2)

    return even(width, min(width, box[0])), even(height, min(height, box[1]))


def _is_ready(probe: dict[str, Any], stream: dict[str, Any]) -> bool:
    """Whether the audio is what `_mono_filters` makes: the worker has taken it out of the input already."""
    raw_flac = probe.get("format", {}).get("format_name") == "flac" and stream.get("codec_name") == "flac"
    return raw_flac and stream.get("sample_rate") == str(SAMPLE_RATE) and stream.get("channels") == 1


def _mono_filters(probe: dict[str, Any]) -> list[str]:
    """
    16 kHz mono on the time line that a player shows: gaps and a late start become silence. The worker takes audio out
    of files with the same filters (`src/media/audio-arguments.ts`, which says why they are as they are).
    """
    try:
        start = float(probe["format"]["start_time"])
    except (KeyError, ValueError):
        start = 0.0
    step = "PTS-PREV_INPTS"
    following = f"PREV_OUTPTS+if(between(({step})*TB,-1,1800),{step},NB_SAMPLES)"
    return [
        f"aresample={SAMPLE_RATE}",
        "aformat=sample_fmts=s16:channel_layouts=mono",
        f"asetpts='if(isnan(PREV_INPTS),PTS-({start:.6f})/TB,{following})'",
        "aresample=async=1:first_pts=0",
    ]


def _extract_audio(
    source: Path, probe: dict[str, Any], stream: dict[str, Any], wav: Path, clean: bool, pad_seconds: float
) -> float:
    """One stream to 16 kHz mono WAV with the media's times. Gives its length."""
    progress = Progress("prepare")
    seconds = _seconds(stream) or _duration(probe)
    filters = [] if _is_ready(probe, stream) else _mono_filters(probe)
    if clean:
        filters += ["highpass=f=300", "lowpass=f=3400", "loudnorm"]
    if pad_seconds:
        filters += [f"aresample={SAMPLE_RATE}", f"apad=pad_dur={pad_seconds:g}"]
    # Timestamps as they are in the file; some offset, or older versions still take off the start of the audio alone.
    argv = ["-copyts", "-itsoffset", "0.000001", *SAFE_INPUT, "-i", f"file:{source}"]
    argv += ["-map", f"0:{stream['index']}", "-vn", "-sn", "-dn", *(["-af", ",".join(filters)] if filters else [])]
    argv += ["-ac", "1", "-ar", str(SAMPLE_RATE), "-c:a", "pcm_s16le", "-f", "wav", f"file:{wav}"]
    code, tail = _ffmpeg(argv, wav.parent, seconds, progress)
    if code != 0:
        raise Expected("ENGINE_FAILED", f"ffmpeg could not decode the audio (exit code {code}): {tail}")
    with contextlib.closing(wave.open(str(wav), "rb")) as reader:
        length = reader.getnframes() / SAMPLE_RATE - pad_seconds
    if length <= 0:
        raise Expected("INPUT_NOT_MEDIA", f"the audio stream has no samples ({tail}); check the file with ffprobe.")
    progress.done()
    return length


@functools.lru_cache(maxsize=None)
def _nvenc_works() -> bool:
    """Whether NVENC really encodes here: the encoder being listed says nothing about the driver or the GPU."""
    with tempfile.TemporaryDirectory(prefix="mirumoji-") as temp:
        picture = ["-f", "lavfi", "-i", "color=c=black:s=256x256:r=25:d=0.2"]
        argv = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", *picture]
        return _run([*argv, "-c:v", "h264_nvenc", "-f", "null", "-"], Path(temp) / "nvenc.log") == 0


def _encode_argv(
    source: Path, target: Path, indexes: Sequence[int], size: tuple[int, int], encoder: str, preset: str, bits: int
) -> list[str]:
    nvenc = encoder == "h264_nvenc"
    argv = [*(["-hwaccel", "cuda"] if nvenc else []), *SAFE_INPUT, "-i", f"file:{source}"]
    for index in indexes:
        argv += ["-map", f"0:{index}"]
    picture = f"scale={size[0]}:{size[1]}:flags=bicubic,setsar=1,format=yuv420p"
    argv += ["-sn", "-dn", "-map_chapters", "-1", "-vf", picture]
    argv += ["-c:v", encoder, "-preset", (NVENC_PRESETS if nvenc else X264_PRESETS)[preset]]
    argv += ["-rc", "vbr"] if nvenc else []
    argv += ["-b:v", str(bits), "-maxrate", str(bits * 3 // 2), "-bufsize", str(bits * 2)]
    if len(indexes) > 1:
        argv += ["-af", "aresample=async=1:first_pts=0", "-c:a", "aac", "-b:a", "128k", "-ac", "2"]
    return [*argv, "-movflags", "+faststart", "-f", "mp4", f"file:{target}"]


# ----------------------------------------------------------------------------------------------- speech engines

Segment = dict[str, Any]
EngineRun = Callable[[Path, dict[str, Any], dict[str, Any], float, Progress], "list[Segment]"]


@dataclass(frozen=True)
class Engine:
    """A speech engine that is installed here, and what it can do."""

    name: str
    model: str
    languages: frozenset[str]
    supported: frozenset[str]  # options it honours; of the others it takes only the default
    run: EngineRun
    pad_seconds: float = 0.0  # silence it needs at the end to finish the last utterance


def _find_faster_whisper(model_options: dict[str, Any]) -> Engine | None:
    if "faster_whisper" not in sys.modules and importlib.util.find_spec("faster_whisper") is None:
        return None
    model = str(model_options["model"])
    languages = frozenset({"en"}) if model.endswith(".en") else WHISPER_LANGUAGES
    supported = frozenset(TRANSCRIBE_DEFAULTS) | frozenset(MODEL_DEFAULTS)
    return Engine("faster-whisper", model, languages, supported, _run_faster_whisper)


def _find_whisper_cpp(_model_options: dict[str, Any]) -> Engine | None:
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
    supported |= {"condition_on_previous_text", "initial_prompt", "clean_audio", "device"}
    if os.environ.get("MIRUMOJI_WHISPER_CPP_VAD_MODEL"):
        supported.add("vad_filter")
    return Engine("whisper.cpp", model, languages, frozenset(supported), _run_whisper_cpp)


def _find_pocketsphinx(_model_options: dict[str, Any]) -> Engine | None:
    if not _pocketsphinx_model() or not (shutil.which("pocketsphinx_continuous") or shutil.which("pocketsphinx")):
        return None
    supported = frozenset({"language", "clean_audio"})
    return Engine("pocketsphinx", "en-us", frozenset({"en"}), supported, _run_pocketsphinx, pad_seconds=1.0)


FINDERS = {
    "faster-whisper": _find_faster_whisper,
    "whisper.cpp": _find_whisper_cpp,
    "pocketsphinx": _find_pocketsphinx,
}


def _choose_engine(options: dict[str, Any], model_options: dict[str, Any]) -> Engine:
    """The best engine here that knows the language; never one that does not."""
    wanted = os.environ.get("MIRUMOJI_ENGINE", "")
    if wanted and wanted not in FINDERS:
        raise Expected("ENGINE_MISSING", f"MIRUMOJI_ENGINE is {wanted!r}; it must be one of {', '.join(FINDERS)}.")
    names = [wanted] if wanted else list(FINDERS)
    found = [engine for engine in (FINDERS[name](model_options) for name in names) if engine]
    if not found:
        what = f"MIRUMOJI_ENGINE asks for {wanted}, but it is not installed" if wanted else "no speech engine was found"
        raise Expected(
            "ENGINE_MISSING",
            f"{what} beside the GPU; install faster-whisper, or whisper-cli with MIRUMOJI_WHISPER_CPP_MODEL naming "
            "its model file, or pocketsphinx with pocketsphinx-en-us (English only).",
        )
    language = options["language"]
    for engine in found:
        if language in engine.languages:
            return engine
    engines = ", ".join(f"{engine.name} (model {engine.model})" for engine in found)
    raise Expected(
        "LANGUAGE_UNSUPPORTED",
        f"no engine beside the GPU knows the language {language!r}; found: {engines}. Install faster-whisper, or "
        "whisper-cli with a multilingual model, or ask for a language they know.",
    )


def _refuse_unsupported(engine: Engine, options: dict[str, Any], model_options: dict[str, Any]) -> None:
    refused = [
        key
        for given, defaults in ((options, TRANSCRIBE_DEFAULTS), (model_options, MODEL_DEFAULTS))
        for key, default in defaults.items()
        if given[key] != default and key not in engine.supported
        if (key, given[key]) not in (("model", engine.model), *MODEL_DEFAULTS_TOO)
    ]
    if refused:
        raise Expected(
            "OPTION_UNSUPPORTED",
            f"the engine {engine.name} cannot do {', '.join(refused)}; leave it out, or install faster-whisper.",
        )
    if engine.name == "whisper.cpp" and options["initial_prompt"] and not options["condition_on_previous_text"]:
        raise Expected(  # without context the prompt is dropped, and nobody would notice
            "OPTION_UNSUPPORTED",
            "the engine whisper.cpp takes initial_prompt only with condition_on_previous_text: true.",
        )


def _run_faster_whisper(
    audio: Path, options: dict[str, Any], model_options: dict[str, Any], seconds: float, progress: Progress
) -> list[Segment]:
    language = options["language"]
    arguments = {key: value for key, value in options.items() if key != "clean_audio"}
    if options["temperature"] == 0:
        arguments["temperature"] = TEMPERATURE_LADDER
    segments: list[Segment] = []
    try:
        model = _faster_whisper_model(model_options["model"], model_options["device"], model_options["compute_type"])
        if language not in getattr(model, "supported_languages", [language]):
            raise Expected("LANGUAGE_UNSUPPORTED", f"the model {model_options['model']} does not know {language!r}.")
        found, _info = model.transcribe(str(audio), task="transcribe", word_timestamps=False, **arguments)
        for item in found:  # a generator: the work happens here
            segment = {"start": float(item.start), "end": float(item.end), "text": item.text}
            segment["avgLogProb"] = getattr(item, "avg_logprob", None)
            segment["noSpeechProb"] = getattr(item, "no_speech_prob", None)
            segment["compressionRatio"] = getattr(item, "compression_ratio", None)
            segments.append(segment)
            progress.set(min(0.999, segment["end"] / seconds))
    except Expected:
        raise
    except Exception as error:
        traceback.print_exc()
        raise Expected("ENGINE_FAILED", f"faster-whisper failed: {type(error).__name__}: {error}") from error
    return segments


@functools.lru_cache(maxsize=1)
def _faster_whisper_model(model: str, device: str, compute_type: str) -> Any:
    """Loaded once for a warm container."""
    from faster_whisper import WhisperModel

    return WhisperModel(model, device=device, compute_type=compute_type)


def _run_whisper_cpp(
    audio: Path, options: dict[str, Any], model_options: dict[str, Any], seconds: float, progress: Progress
) -> list[Segment]:
    output = audio.with_name("whisper")
    threads = min(8, os.cpu_count() or 4)
    argv = ["whisper-cli", "-m", os.environ["MIRUMOJI_WHISPER_CPP_MODEL"], "-f", str(audio), "-t", str(threads)]
    argv += ["-oj", "-of", str(output), "-l", options["language"]]
    argv += ["-bs", str(options["beam_size"]), "-bo", str(options["best_of"])]
    argv += ["-lpt", str(options["log_prob_threshold"]), "-nth", str(options["no_speech_threshold"])]
    argv += [] if options["condition_on_previous_text"] else ["-mc", "0"]
    argv += ["-tp", str(options["temperature"]), "-nf"] if options["temperature"] else []
    argv += ["--prompt", options["initial_prompt"]] if options["initial_prompt"] else []
    argv += ["--vad", "-vm", os.environ["MIRUMOJI_WHISPER_CPP_VAD_MODEL"]] if options["vad_filter"] else []
    argv += ["-ng"] if model_options["device"] == "cpu" else []

    log = audio.with_name("engine.log")

    def on_line(line: str) -> None:  # "[00:00:00.000 --> 00:00:02.500]  text", while it works
        match = re.match(r"\[[\d:.]+ --> (\d+):(\d+):([\d.]+)\]", line)
        if match:
            done = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
            progress.set(min(0.999, done / seconds))

    code = _run(argv, log, on_line)
    result = output.with_name(output.name + ".json")
    if code != 0 or not result.is_file():  # it exits with 0 after many errors
        raise Expected("ENGINE_FAILED", f"whisper-cli failed with exit code {code}: {_tail(log)}")
    document = json.loads(result.read_text(encoding="utf-8", errors="replace"))
    language = document.get("result", {}).get("language", options["language"])
    if language != options["language"]:
        raise Expected("LANGUAGE_UNSUPPORTED", f"whisper-cli's model wrote {language!r}, not {options['language']!r}.")
    return [
        {"start": item["offsets"]["from"] / 1000, "end": item["offsets"]["to"] / 1000, "text": item["text"]}
        for item in document["transcription"]
    ]


def _pocketsphinx_model() -> Path | None:
    for candidate in (os.environ.get("MIRUMOJI_POCKETSPHINX_MODEL"), *POCKETSPHINX_MODELS):
        if candidate and Path(candidate, "en-us.lm.bin").is_file():
            return Path(candidate)
    return None


def _run_pocketsphinx(
    audio: Path, _options: dict[str, Any], _model_options: dict[str, Any], seconds: float, progress: Progress
) -> list[Segment]:
    folder = _pocketsphinx_model()
    model = ["-hmm", f"{folder}/en-us", "-lm", f"{folder}/en-us.lm.bin", "-dict", f"{folder}/cmudict-en-us.dict"]
    if shutil.which("pocketsphinx_continuous"):  # 5prealpha: lines of `word start end probability`
        argv = ["pocketsphinx_continuous", *model, "-infile", str(audio), "-time", "yes"]
    else:  # 5: a JSON object per utterance
        argv = ["pocketsphinx", *model, "live", str(audio)]
    words: list[tuple[str, float, float]] = []

    def on_line(line: str) -> None:
        words.extend(_pocketsphinx_words(line))
        if words:
            progress.set(min(0.999, words[-1][2] / seconds))

    log = audio.with_name("engine.log")
    code = _run(argv, log, on_line)
    if code != 0:
        raise Expected("ENGINE_FAILED", f"{argv[0]} failed with exit code {code}: {_tail(log)}")
    return _group_words(words)


def _pocketsphinx_words(line: str) -> list[tuple[str, float, float]]:
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


def _group_words(words: Sequence[tuple[str, float, float]]) -> list[Segment]:
    """Words to subtitles: a new one after a pause of half a second, at 7 seconds and at 84 characters."""
    segments: list[Segment] = []
    for word, start, end in words:
        word = re.sub(r"^i(?=$|')", "I", word)
        last = segments[-1] if segments else None
        pause = last is None or start - last["end"] > 0.5
        if last is None or pause or end - last["start"] > 7 or len(last["text"]) + 1 + len(word) > 84:
            text = word[:1].upper() + word[1:] if pause else word
            segments.append({"start": start, "end": end, "text": text})
        else:
            last["text"] += " " + word
            last["end"] = end
    return segments


def _tidy(raw: Sequence[Segment], seconds: float) -> list[Segment]:
    """Segments as they are stored: inside the media, in order, never empty, plain finite numbers."""
    segments: list[Segment] = []
    floor = 0.0
    for item in raw:
        text = str(item["text"]).strip()
        start = round(min(max(float(item["start"]), floor), seconds), 3)
        end = round(min(float(item["end"]), seconds), 3)
        if not text or end <= start:
            continue
        segment: Segment = {"start": start, "end": end, "text": text}
        for key in ("avgLogProb", "noSpeechProb", "compressionRatio"):
            value = item.get(key)
            if value is not None and math.isfinite(value):
                segment[key] = round(float(value), 4)
        segments.append(segment)
        floor = start
    return segments
