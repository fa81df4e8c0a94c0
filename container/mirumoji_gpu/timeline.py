"""
The one time line of both jobs: 0 is where the first stream of the file begins, gaps stay, and recordings that were
joined follow each other. `src/media/timeline.ts` has the same rule for the audio that a worker takes out of a file.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Collection, Iterator, Sequence

# A clock that goes back further than this, in seconds, is another recording's.
MOST_BACK = 1.0
# In these containers a clock that runs ahead further than this is one too; elsewhere nothing was there to be recorded.
MOST_AHEAD = 10.0
JOINABLE = {"mpegts", "mpeg", "ogg", "flv"}
# Containers without any times: ffmpeg works them out from the first rate, which is wrong where the rate changes.
UNTIMED = {"mp3", "aac", "ac3", "eac3", "dts", "truehd", "loas"}
# Times must not be negative between two programs, where the first sound may begin before the first picture.
BIAS_SECONDS = 10
# Of these ffmpeg's decoders give the first frame after a change of the rate its time in ticks of the wrong rate: one frame
# that stands apart from both its neighbours.
STRAYING = {"mp1", "mp2", "mp3"}
STRAY_KEPT = (
    "if(gt(abs(NEXT_DTS-DTS)*TB,0.5),"
    "if(N,if(gt(abs(DTS-PREV_INDTS)*TB,0.5),PREV_INDTS+round(0.024/TB),TS),NEXT_DTS-round(0.024/TB)),TS)"
)
# The header of a later link of an Ogg file passes for a packet; none of sound is as long.
LONGEST_OGG = 0.9
# Packets by which streams of one time may be apart in the file.
INTERLEAVED = 3000
# A recording with more joints has no clock at all.
MOST_JOINTS = 200


@dataclass(frozen=True)
class Packet:
    stream: int
    time: float
    seconds: float


class Packets:
    """Packets in the order of the file. A long film has millions, which as objects would take a gigabyte."""

    def __init__(self) -> None:
        self._streams, self._times, self._seconds = array("i"), array("d"), array("d")

    def append(self, packet: Packet) -> None:
        self._streams.append(packet.stream)
        self._times.append(packet.time)
        self._seconds.append(packet.seconds)

    def between(self, start: int, end: int) -> Iterator[Packet]:
        columns = (self._streams[start:end], self._times[start:end], self._seconds[start:end])
        return map(Packet, *columns)

    def __iter__(self) -> Iterator[Packet]:
        return map(Packet, self._streams, self._times, self._seconds)


@dataclass(frozen=True)
class Jump:
    """Where a stream's clock jumps to, and what is to be added to all times from there on."""

    to: float
    shift: float


@dataclass
class _Recording:
    """One of the recordings that a file was joined from."""

    start: float
    end: float

    def takes(self, time: float) -> bool:
        return self.start - MOST_AHEAD <= time <= self.end + MOST_AHEAD


def joints_of(packets: Packets, formats: Collection[str]) -> dict[int, list[Jump]]:
    """The jumps of each stream's clock where recordings were joined. A gap in one stream alone is none."""
    ahead = MOST_AHEAD if JOINABLE & set(formats) else float("inf")
    recordings: list[_Recording] = []
    place: dict[int, int] = {}  # the recording that each stream is in
    last: dict[int, tuple[int, float]] = {}  # its last packet: where in the file, and its end
    cuts: list[tuple[int, int, float]] = []  # stream, recording, time
    for at, packet in enumerate(packets):
        if "ogg" in formats and packet.seconds > LONGEST_OGG:
            continue
        before = last.get(packet.stream)
        step = packet.time - before[1] if before else 0.0
        is_jump = step < -MOST_BACK or (step > ahead and not _others_between(packets, before, at, packet))
        if not recordings:
            recordings.append(_Recording(packet.time, packet.time))
        if before is None:
            place[packet.stream] = len(recordings) - 1
        elif is_jump:
            later = range(place[packet.stream] + 1, len(recordings))
            known = [number for number in later if recordings[number].takes(packet.time)]
            if not known:
                recordings.append(_Recording(packet.time, packet.time))
            place[packet.stream] = known[0] if known else len(recordings) - 1
        if place[packet.stream] > 0 and (before is None or is_jump):
            cuts.append((packet.stream, place[packet.stream], packet.time))
        recording = recordings[place[packet.stream]]
        recording.start = min(recording.start, packet.time)
        recording.end = max(recording.end, packet.time + packet.seconds)
        last[packet.stream] = (at, packet.time + packet.seconds)
    shifts = [0.0]
    for previous, following in zip(recordings, recordings[1:]):
        shifts.append(previous.end + shifts[-1] - following.start)
    joints: dict[int, list[Jump]] = {}
    for stream, recording, time in cuts[:MOST_JOINTS]:
        joints.setdefault(stream, []).append(Jump(time, shifts[recording]))
    return joints


def _others_between(
    packets: Packets, before: tuple[int, float] | None, at: int, packet: Packet
) -> bool:
    """Whether another stream goes on while this one has nothing: then time really passed."""
    begin, end = before or (0, packet.time)
    margin = min(1.0, (packet.time - end) / 4)
    return any(
        other.stream != packet.stream and end + margin < other.time < packet.time - margin
        for other in packets.between(max(0, begin - INTERLEAVED), at + INTERLEAVED)
    )


def continuous(joints: Sequence[Jump], start_seconds: float, codec: str = "") -> str:
    """ffmpeg's expression for the bit stream filter `setts`: the file's times to the time line's, and the bias."""
    base = f"{STRAY_KEPT if codec in STRAYING else 'TS'}+round(({BIAS_SECONDS - start_seconds:.6f}"
    if not joints:
        return f"{base})/TB)"
    # Register 0 counts the joints that are behind. Decoders may lose some seconds there.
    passed = "+".join(
        f"gt(N,0)*eq(ld(0),{number})*gt(abs(DTS-PREV_INDTS)*TB,0.5)"
        f"*between(DTS*TB,{jump.to - 0.5:.6f},{jump.to + 5:.6f})"
        for number, jump in enumerate(joints)
    )
    before = [0.0, *(jump.shift for jump in joints)]
    shift = "".join(
        f"{jump.shift - earlier:+.6f}*gte(ld(0),{number + 1})"
        for number, (earlier, jump) in enumerate(zip(before, joints))
    )
    return f"st(0,ld(0)+{passed});{base}{shift})/TB)"
