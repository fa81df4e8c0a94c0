"""Plan of an encode: tracks, size, and ffmpeg's arguments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .audio import AS_THEY_ARE, LONG_PAUSE_SECONDS, NUT, filled, uniform_pcm
from .children import last_words, run_child
from .errors import Expected
from .ffmpeg import QUIET
from .languages import mp4_language
from .mixdown import mixdown
from .options import ConvertOptions
from .picture import (
    HDR_CURVES,
    Colours,
    can_tone_map,
    colours_of,
    deinterlacer_of,
    fitted_size,
    is_hdr,
    is_rgb,
    is_wide_gamut,
    picture_filters,
    rotation_of,
)
from .probe import Probe, probe_file
from .survey import Survey, survey_file
from .timeline import BIAS_SECONDS, JOINABLE, continuous
from .tracks import Choice, Track, choose_audio, choose_video, shown_track, tracks_of, usable_audio
from .video import Rate, encode_arguments, rate_of
from .volume import shown_name

TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}
# Codecs that NVDEC decodes to 8 bits without any doubt.
GPU_CODECS = {"h264", "hevc", "mpeg2video", "vp9", "av1"}


@dataclass(frozen=True)
class Film:
    source: Path
    probe: Probe
    survey: Survey
    video: Track
    audio: list[Track]
    subtitles: list[Track]
    shown_tracks: list[dict[str, Any]]
    warnings: list[str]
    size: tuple[int, int]
    rate: Rate
    colours: Colours
    deinterlacer: list[str]

    @property
    def seconds(self) -> float:
        """End of picture and sound on the time line."""
        tracks = [self.video, *self.audio]
        ends = []
        for track in tracks:
            joints = self.survey.joints_in(track.stream)
            end = self.survey.streams[track.index].last + (joints[-1].shift if joints else 0.0)
            ends.append(end - self.probe.start_seconds)
        return max(ends)

    def stays_on_gpu(self, encoder: str) -> bool:
        """Whether decoding, scaling and encoding can all be the GPU's: nothing but the size is to be changed."""
        stream = self.video.stream
        same_colours = not is_hdr(stream) and not is_wide_gamut(stream) and not is_rgb(stream)
        plain = same_colours and not self.deinterlacer and not rotation_of(stream)
        fits = stream.get("codec_name") in GPU_CODECS and stream.get("pix_fmt") == "yuv420p"
        # A recorded broadcast may change the size of its picture.
        steady = not self.probe.formats & JOINABLE and stream.get("color_range") != "pc"
        return encoder.endswith("_nvenc") and plain and fits and steady


def film_of(source: Path, name: str, options: ConvertOptions) -> Film:
    """Looks into a film and decides what is made of it."""
    probe = probe_file(source, name)
    survey = survey_file(source, probe)
    chosen = choose_video(probe.streams, survey.count)
    if chosen is None:
        raise Expected("INPUT_NOT_MEDIA", f"{shown_name(name)} has no video stream, so there is nothing to convert.")
    video = chosen.track
    usable = usable_audio(probe.streams, lambda stream: survey.count(stream) > 0)
    main = choose_audio(usable, options.source.language, options.source.audio_track)
    audio = [main.track] if main else []
    shown = [shown_track("video", chosen), *([shown_track("audio", main)] if main else [])]
    warnings = [*chosen.warnings, *(main.warnings if main else [])]
    if main and options.all_audio:
        others = [track for track in usable if track is not main.track]
        audio += others
        shown += [shown_track("audio", Choice(track, "kept")) for track in others]
    subtitles = []
    for track in tracks_of(probe.streams, "subtitle") if options.keep_subtitles else []:
        if survey.count(track.stream) == 0:
            continue
        codec = track.stream.get("codec_name")
        if codec not in TEXT_CODECS:
            warnings.append(f"left out subtitle track {track.number}: {codec} is no text")
        elif survey.joints_in(video.stream):
            warnings.append(f"left out subtitle track {track.number}: recordings were joined, and its times are of one")
        else:
            subtitles.append(track)
            shown.append(shown_track("subtitle", Choice(track, "kept")))
    stream = video.stream
    if is_hdr(stream) and not can_tone_map():
        warnings.append(f"the picture stays {HDR_CURVES[stream['color_transfer']]}: ffmpeg has no zscale and tonemap")
    rate = rate_of(stream, survey.streams.get(video.index), probe.start_seconds)
    return Film(
        source=source,
        probe=probe,
        survey=survey,
        video=video,
        audio=audio,
        subtitles=subtitles,
        shown_tracks=shown,
        warnings=warnings,
        size=fitted_size(stream, options.box),
        rate=rate,
        colours=colours_of(stream),
        deinterlacer=deinterlacer_of(source, probe, stream, float(rate.average), options.deinterlace),
    )


def programs_for(film: Film, options: ConvertOptions, target: Path, encoder: str, on_gpu: bool) -> list[list[str]]:
    """ffmpeg's arguments: the sound as uniform PCM, if there is any, into the program that encodes."""
    # Not to the microsecond: ffmpeg 5.1 takes that for its own doing, and would put the picture at 0 without the sound.
    shift = f"{0.000001 - film.probe.start_seconds:.6f}"
    pictures = [*film.probe.input_options, "-i", f"file:{film.source}"]
    where = f"0:{film.video.index}"
    if film.survey.joints_in(film.video.stream):
        pictures, where, shift = ["-i", f"file:{_without_jumps(film)}"], "0:0", f"-{BIAS_SECONDS}"
    decoder = ["-hwaccel", "cuda"] if encoder.endswith("_nvenc") else []
    decoder += ["-hwaccel_output_format", "cuda"] if on_gpu else []
    argv = ["-copyts", "-itsoffset", shift, *decoder, *pictures]
    if film.audio:
        argv += ["-itsoffset", f"-{BIAS_SECONDS}", *NUT, "-i", "pipe:0"]
    argv += ["-map", where]
    for number in range(len(film.audio)):
        argv += ["-map", f"1:{number}"]
    for track in film.subtitles:
        argv += ["-map", f"0:{track.index}"]
    if on_gpu:
        picture = [f"scale_cuda={film.size[0]}:{film.size[1]}:format=yuv420p", "setsar=1"]
    else:
        picture = picture_filters(film.video.stream, film.size, film.colours, film.deinterlacer)
    doubled = "send_field" in "".join(film.deinterlacer)
    argv += ["-map_chapters", "-1", "-vf", ",".join(picture), *film.rate.arguments(doubled)]
    argv += encode_arguments(encoder, options.preset, options.bits, options.crf, film.rate)
    argv += film.colours.arguments
    if film.audio:
        for number, track in enumerate(film.audio):
            pause = film.survey.longest_pause(track.stream, film.probe.start_seconds)
            argv += [f"-filter:a:{number}", filled(_rate_of(track), "stereo", pause > LONG_PAUSE_SECONDS)]
        argv += ["-c:a", "aac", "-b:a", "128k", *named(film.audio, "a")]
    argv += ["-c:s", "mov_text", *named(film.subtitles, "s")] if film.subtitles else []
    # A last subtitle may be shown for long after the film.
    argv += ["-t", f"{film.seconds + 0.1:.3f}"] if film.subtitles else []
    argv += ["-write_tmcd", "0", "-movflags", "+faststart", "-f", "mp4", f"file:{target}"]
    return [_pcm_of(film, options), argv] if film.audio else [argv]


def _pcm_of(film: Film, options: ConvertOptions) -> list[str]:
    tracks = [(track.stream, film.survey.joints_in(track.stream)) for track in film.audio]
    filters = []
    for track in film.audio:
        uniform = [f"aresample={_rate_of(track)}", "aformat=sample_fmts=s16:channel_layouts=stereo"]
        filters.append([*mixdown(track.stream, 2, options.source.dual_mono), *uniform])
    return uniform_pcm(film.source, film.probe, tracks, filters)


def _rate_of(track: Track) -> int:
    rate = int(track.stream.get("sample_rate") or 48_000)
    return rate if rate in (44_100, 48_000) else 48_000


def _without_jumps(film: Film) -> Path:
    """The picture alone, packets as they are, with times that never jump: what it was joined from follows on."""
    target = film.source.with_name("joined.nut")
    if target.exists():
        return target
    clock = continuous(film.survey.joints_in(film.video.stream), film.probe.start_seconds)
    argv = [*QUIET, *AS_THEY_ARE, *film.probe.input_options, "-i", f"file:{film.source}"]
    argv += ["-map", f"0:{film.video.index}", "-c", "copy", "-copyinkf", "-copypriorss", "1"]
    argv += ["-bsf:v", f"setts=ts='{clock}'", *NUT, f"file:{target}"]
    log = target.with_name("joined.log")
    if run_child(argv, log):
        raise Expected("ENGINE_FAILED", f"ffmpeg could not join the recordings of the file: {last_words(log)}")
    return target


def named(tracks: list[Track], kind: str) -> list[str]:
    """Languages and titles; the first is what a player takes by itself."""
    argv: list[str] = []
    for number, track in enumerate(tracks):
        argv += [f"-metadata:s:{kind}:{number}", f"language={mp4_language(track.language)}"]
        if track.title:
            argv += [f"-metadata:s:{kind}:{number}", f"title={track.title}"]
            argv += [f"-metadata:s:{kind}:{number}", f"handler_name={track.title}"]
        is_first = number == 0 and kind == "a"
        argv += [f"-disposition:{kind}:{number}", "default" if is_first else "0"]
    return argv
