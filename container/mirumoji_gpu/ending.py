"""Files that end before their own headers say. `src/media/ending.ts` has the same rule for what a worker sends."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Iterator

# The largest page of Ogg.
MOST_PAGE_BYTES = 65_307
# Sizes of files that were written as a stream, whose end nobody knew.
UNKNOWN = {0, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF}
# Chunks that are looked at.
MOST_CHUNKS = 1000
CUT_OFF = "the file ends in the middle; it is damaged"

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
_W64 = b"riff.\x91\xcf\x11"


def ending(path: Path) -> list[str]:
    """A warning when a file is shorter than it promises; nothing where it does not say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        if head.startswith(b"OggS"):
            return [CUT_OFF] if _ends_in_page(file, size) else []
        promised = _promised_bytes(file, head, size)
    if promised - size <= promised * 0.005 + 1024:
        return []
    return [f"only {size} of {promised} bytes are there; the file is damaged"]


def _promised_bytes(file: BinaryIO, head: bytes, size: int) -> int:
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _wave_bytes(file, size)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _end_of(b"RIFF", _chunks(file, 0, size, "<4sI"))
    if head[:4] == b"caff":
        return _end_of(b"data", _chunks(file, 8, size, ">4sQ"))
    if head[:8] == _W64:
        (promised,) = struct.unpack("<Q", head[16:24])
        return 0 if promised in UNKNOWN else promised
    if head[:4] == _EBML:
        return _matroska_bytes(head)
    if head[4:8] in _FIRST_BOXES:
        return _mp4_bytes(file, size)
    return _asf_bytes(file) if head[:16] == _ASF else 0


def _matroska_bytes(head: bytes) -> int:
    """The end of the segment, which follows the header."""
    header, at = _ebml_size(head, 4)
    at += header
    if head[at : at + 4] != _SEGMENT:
        return 0
    content, at = _ebml_size(head, at + 4)
    return at + content if content else 0


def _ebml_size(data: bytes, at: int) -> tuple[int, int]:
    """A size, 0 where it is unknown, and the place behind it."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return (0 if length > 8 or value == (1 << 7 * length) - 1 else value), at + length


def _mp4_bytes(file: BinaryIO, size: int) -> int:
    """The end of the last box. Anything may lie behind it."""
    at = 0
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        head = file.read(16).ljust(16, b"\0")
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1:
            (length,) = struct.unpack(">Q", head[8:])
        if at + 8 > size or length < 8 or not name.isalnum():
            break
        at += length
    return at


def _chunks(file: BinaryIO, at: int, size: int, layout: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the content and size of each chunk."""
    length = struct.calcsize(layout)
    for _ in range(MOST_CHUNKS):
        if at + length > size:
            return
        file.seek(at)
        name, content = struct.unpack(layout, file.read(length))
        yield name, at + length, content
        at += length + content + content % 2


def _end_of(wanted: bytes, chunks: Iterator[tuple[bytes, int, int]]) -> int:
    """The end of the last chunk of a name. Anything may lie behind it."""
    end = 0
    for name, at, content in chunks:
        if name == wanted and content in UNKNOWN:
            return 0
        end = at + content if name == wanted else end
    return end


def _wave_bytes(file: BinaryIO, size: int) -> int:
    long_size = 0
    for name, at, content in _chunks(file, 12, size, "<4sI"):
        if name == b"ds64":
            file.seek(at + 8)
            (long_size,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if name == b"data":
            content = long_size if content == 0xFFFFFFFF else content
            return 0 if content in UNKNOWN else at + content
    return 0


def _asf_bytes(file: BinaryIO) -> int:
    file.seek(0)
    head = file.read(8192)
    at = head.find(_ASF_FILE)
    if at < 0 or len(head) < at + 92:
        return 0
    (promised,) = struct.unpack_from("<Q", head, at + 40)
    (flags,) = struct.unpack_from("<I", head, at + 88)
    return 0 if flags & 1 else promised  # 1: a broadcast, whose size was not known


def _ends_in_page(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - MOST_PAGE_BYTES))
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return False
    page = tail[at:]
    count = page[26] if len(page) > 26 else 255
    return len(page) < 27 + count or len(page) < 27 + count + sum(page[27 : 27 + count])
