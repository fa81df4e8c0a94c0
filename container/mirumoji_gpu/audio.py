"""Sound of a file on its time line: one track for the speech engines, all of them for a film."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from .children import last_words, run_pipeline
from .errors import Expected
from .ffmpeg import QUIET, progress_reader
from .mixdown import Mix, mixdown
from .options import Part
from .probe import Probe, seconds_of
from .progress import Progress
from .timeline import BIAS_SECONDS, UNTIMED, Jump, continuous
from .tracks import Stream

SAMPLE_RATE = 16_000
# More, 37 hours, needs RF64, whose header not every engine reads.
MOST_WAV_BYTES = 0xFFFF_0000
# Container that the first program hands to the second: PCM with its times.
NUT = ["-f", "nut"]
# Gaps, also the one before a late start, become silence, and what overlaps is cut; from 40 ms on, or the sound of files
# with restless clocks would be cut to pieces.
FILLED = "aresample=async=1:min_hard_comp=0.04:first_pts=0"
# Longer pauses, in seconds, of a film and of speech are filled piece by piece: ffmpeg makes what it fills in memory, in
# one, with half a megabyte for each second of a film. Of speech nobody has looked for them, but the length is known.
LONG_PAUSE_SECONDS = 60
LONG_SPEECH_SECONDS = 1800
_PIECE_SECONDS = 10
# Sound without times is as long as its samples.
COUNTED = "asetpts=N/SR/TB"
UNBIASED = f"asetpts=PTS-{BIAS_SECONDS}/TB"
# Timestamps as they are in the file; some offset, or older versions still take off the start of the audio alone.
AS_THEY_ARE = ["-copyts", "-itsoffset", "0.000001"]


def uniform_pcm(
    source: Path,
    probe: Probe,
    tracks: Sequence[tuple[Stream, Sequence[Jump]]],
    filters: Sequence[Sequence[str]],
) -> list[str]:
    """
    ffmpeg's arguments for tracks as PCM that never changes its format, with times of the time line, as NUT on stdout.

    A program of its own: ffmpeg builds its filters anew where the layout or rate of a sound changes, and what fills
    gaps would begin again from 0.
    """
    argv = [*AS_THEY_ARE, *probe.input_options, "-i", f"file:{source}"]
    for number, ((stream, joints), chain) in enumerate(zip(tracks, filters)):
        argv += ["-map", f"0:{stream['index']}", f"-filter:a:{number}", ",".join(chain)]
        clock = continuous(joints, probe.start_seconds, str(stream.get("codec_name")))
        argv += [f"-bsf:a:{number}", f"setts=ts='{clock}'"]
    return [*argv, "-vn", "-sn", "-dn", "-c:a", "pcm_s16le", *NUT, "pipe:1"]


def filled(rate: int, layout: str, has_long_pauses: bool) -> str:
    """ffmpeg's filters that make silence of pauses. `src/media/audio-arguments.ts` has the same."""
    if not has_long_pauses:
        return FILLED
    # One silent sample now and then, of which only those in a pause stay, so that each has little to fill. Versions of
    # ffmpeg differ in the unit of the times that `ainterleave` gives: the first sample, whose time is known, tells it.
    return (
        f"anull[sound];anullsrc=r={rate}:cl={layout}:n=1,asetpts='(N-1)*{_PIECE_SECONDS}/TB'[ticks];"
        "[sound][ticks]ainterleave=duration=first,"
        f"asetpts='st(0,if(eq(N,0),-PTS/{_PIECE_SECONDS},ld(0)));round(PTS/ld(0)/TB)',"
        "aselect='gt(n,0)*(gt(samples_n,1)"
        f"+gt(t-if(isnan(prev_selected_t),0,prev_selected_t),{_PIECE_SECONDS - 1}))',{FILLED}"
    )


def speech_filters(stream: Stream, side: Mix) -> list[str]:
    """16 kHz mono, first of all, so that a pause of an hour costs little memory when it is filled."""
    return [*mixdown(stream, 1, side), f"aresample={SAMPLE_RATE}", "aformat=sample_fmts=s16:channel_layouts=mono"]


def is_ready(probe: Probe, stream: Stream) -> bool:
    """Whether the audio is what comes out of here: the worker has taken it out of the input already."""
    raw_flac = probe.format.get("format_name") == "flac" and stream.get("codec_name") == "flac"
    return raw_flac and stream.get("sample_rate") == str(SAMPLE_RATE) and stream.get("channels") == 1


def extract_audio(
    source: Path,
    probe: Probe,
    stream: Stream,
    wav: Path,
    *,
    joints: Sequence[Jump] = (),
    side: Mix = "both",
    clean: bool = False,
    pad_seconds: float = 0.0,
    part: Part | None = None,
) -> float:
    """
    One stream to 16 kHz mono WAV with the media's times. Gives its length in seconds, without the pad.

    A part is cut out of what the worker has taken out of a film: that has a sample for every moment.
    """
    progress = Progress("prepare")
    is_taken = is_ready(probe, stream)
    may_pause_long = not 0 < probe.seconds < LONG_SPEECH_SECONDS
    filters = [COUNTED] if probe.formats & UNTIMED else [UNBIASED, filled(SAMPLE_RATE, "mono", may_pause_long)]
    if is_taken:
        filters = []
    if clean:
        filters += ["highpass=f=300", "lowpass=f=3400", "loudnorm"]
    if pad_seconds:
        filters += [f"aresample={SAMPLE_RATE}", f"apad=pad_dur={pad_seconds:g}"]
    pcm = uniform_pcm(source, probe, [(stream, joints)], [speech_filters(stream, side)])
    cut = [] if part is None else ["-ss", f"{part.start:.3f}", "-t", f"{part.end - part.start:.3f}"]
    given = [*cut, *probe.input_options, "-i", f"file:{source}"] if is_taken else ["-copyts", *NUT, "-i", "pipe:0"]
    argv = [*given, "-map", "0:a:0", *(["-af", ",".join(filters)] if filters else [])]
    argv += ["-ac", "1", "-ar", str(SAMPLE_RATE), "-c:a", "pcm_s16le"]
    seconds = seconds_of(stream) or probe.seconds if part is None else part.end - part.start
    logs = [wav.with_name("decode.log"), wav.with_name("ffmpeg.log")]
    programs = [[*QUIET, "-progress", "pipe:1", *argv, "-f", "wav", f"file:{wav}"]]
    if not is_taken:
        programs.insert(0, [*QUIET, *pcm])
    _run(programs, logs[-len(programs) :], progress, seconds)
    if wav.stat().st_size > MOST_WAV_BYTES:
        programs[-1][-1:-1] = ["-rf64", "always"]
        _run(programs, logs[-len(programs) :], progress, seconds)
    length = wav_seconds(wav) - pad_seconds
    if length <= 0:
        words = last_words(logs[0]) if len(programs) > 1 else ""
        raise Expected("INPUT_NOT_MEDIA", f"the audio stream has no samples ({words}); check the file with ffprobe.")
    progress.done()
    return length


def _run(programs: Sequence[Sequence[str]], logs: Sequence[Path], progress: Progress, seconds: float) -> None:
    codes = run_pipeline(programs, logs, progress_reader(progress, seconds))
    if any(codes):
        said = next(last_words(log) for log, code in zip(logs, codes) if code)
        raise Expected("ENGINE_FAILED", f"ffmpeg could not decode the audio (exit codes {codes}): {said}")


def wav_seconds(wav: Path) -> float:
    """The length of a 16 kHz mono WAV or RF64 file of ours, whose samples are its last chunk."""
    with wav.open("rb") as file:
        head = file.read(4096)
    at = head.find(b"data")
    return max(0.0, (wav.stat().st_size - at - 8) / 2 / SAMPLE_RATE) if at >= 0 else 0.0
