"""Survey of what a media file really holds: every packet is looked at, none is decoded."""

from __future__ import annotations

import itertools
from array import array
from dataclasses import dataclass, field
from pathlib import Path

from .children import run_child
from .ending import CUT_OFF, ending
from .probe import Probe, seconds_of, tagged_seconds
from .timeline import Jump, Packet, Packets, joints_of
from .tracks import Stream

# Words of ffmpeg for a container that promises more than the file has.
ENDED_EARLY = ("partial file", "File ended prematurely")


@dataclass
class StreamPackets:
    """The packets of one stream; times are the file's own, in seconds."""

    times: array[float] = field(default_factory=lambda: array("d"))
    end: float = float("-inf")
    # The end of the last packet in the file, which is not the latest where recordings were joined.
    last: float = 0.0
    count: int = 0

    def longest_pause(self, start_seconds: float) -> float:
        """The longest time without a packet, from where the film begins on."""
        before = itertools.chain([start_seconds], self.times)
        return max((time - last for last, time in zip(before, self.times)), default=0.0)

    @property
    def seconds(self) -> float:
        return self.end - min(self.times) if self.times else 0.0


@dataclass(frozen=True)
class Survey:
    streams: dict[int, StreamPackets]
    joints: dict[int, list[Jump]]
    # Whether ffmpeg met the end of the file before that of its last packet.
    is_cut_off: bool
    # The warning when the file is shorter than its headers say.
    ending: list[str]

    def count(self, stream: Stream) -> int:
        found = self.streams.get(int(stream["index"]))
        return found.count if found else 0

    def longest_pause(self, stream: Stream, start_seconds: float) -> float:
        found = self.streams.get(int(stream["index"]))
        return found.longest_pause(start_seconds) if found else 0.0

    def joints_in(self, stream: Stream) -> list[Jump]:
        return self.joints.get(int(stream["index"]), [])


def survey_file(path: Path, probe: Probe) -> Survey:
    log = path.with_name("ffprobe.log")
    kinds = {int(stream["index"]): str(stream.get("codec_type")) for stream in probe.streams}
    streams: dict[int, StreamPackets] = {}
    packets = Packets()

    def on_line(line: str) -> None:
        fields = line.split("|")
        if len(fields) < 4 or not fields[0].isdigit():
            return
        index, shown, decoded, lasts = int(fields[0]), *map(_number, fields[1:4])
        found = streams.setdefault(index, StreamPackets())
        found.count += 1
        time = shown if shown is not None else decoded
        if time is None:
            return
        found.times.append(time)
        found.last = time + (lasts or 0.0)
        found.end = max(found.end, found.last)
        if kinds.get(index) in ("audio", "video"):
            packets.append(Packet(index, decoded if decoded is not None else time, lasts or 0.0))

    show = ["-show_entries", "packet=stream_index,pts_time,dts_time,duration_time", "-of", "compact=p=0:nk=1"]
    run_child(["ffprobe", "-v", "error", *probe.input_options, *show, "-i", f"file:{path}"], log, on_line)
    words = log.read_text(encoding="utf-8", errors="replace")
    return Survey(streams, joints_of(packets, probe.formats), any(sign in words for sign in ENDED_EARLY), ending(path))


def damage(probe: Probe, survey: Survey, stream: Stream, decoded_seconds: float | None = None) -> list[str]:
    """A warning when the file promises more of a stream than it has, or gave; estimates are no promises."""
    found = survey.streams.get(int(stream["index"]), StreamPackets())
    has, promised = found.seconds, _promised_seconds(probe, stream)
    if "matroska" in probe.formats:
        has = max(found.end, 0.0)  # its lengths count from 0, not from where a track begins
    if not promised and probe.formats & {"matroska", "flv"}:
        # Only the file as a whole says how long it is, and any of its streams may be the longest.
        ends = [packets.end for packets in survey.streams.values() if packets.times]
        # In Matroska it counts from 0.
        whole = max(ends, default=0.0) - (0.0 if "matroska" in probe.formats else probe.start_seconds)
        if _is_short(whole, seconds_of(probe.format)):
            has, promised = whole, seconds_of(probe.format)
    if promised and (_is_short(has, promised) or survey.is_cut_off):
        return [f"only {has:.1f} of {promised:.1f} s could be decoded; the file is damaged"]
    if decoded_seconds is not None and promised:
        before = max(0.0, probe.start_seconds) if "matroska" in probe.formats else 0.0
        if _is_short(decoded_seconds, promised - before):
            return [f"only {decoded_seconds:.1f} of {promised - before:.1f} s could be decoded; the file is damaged"]
    return survey.ending or ([CUT_OFF] if survey.is_cut_off else [])


def _promised_seconds(probe: Probe, stream: Stream) -> float:
    if probe.is_length_estimated or probe.formats & {"mpegts", "mpeg", "ogg", "aac"}:
        return 0.0
    return tagged_seconds(stream) if "matroska" in probe.formats else seconds_of(stream)


def _is_short(has: float, promised: float) -> bool:
    return has < promised - max(1.0, promised * 0.02)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
