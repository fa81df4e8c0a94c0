"""The job's volume: the input out of it, the results into it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import posixpath
import re
from pathlib import Path
from typing import Any, Callable

from . import stopwatch
from .progress import Progress


def open_volume(vol_id: str) -> Any:
    import modal

    return modal.Volume.from_id(vol_id)


@stopwatch.part("download")
def download(volume: Any, vol_fp: str, temp: Path) -> Path:
    """
    The input on local disk: a link where the volume is on this machine, else a copy.

    Of its name only a harmless extension is kept (some demuxers look at it).
    """
    progress = Progress("download")
    extension = posixpath.splitext(vol_fp)[1]
    target = temp / ("input" + (extension if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", extension) else ""))
    if hasattr(volume, "local_path"):
        target.symlink_to(volume.local_path(vol_fp))
        progress.done()
        return target
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
        raise OSError(f"{shown_name(vol_fp)} has {size} bytes in the volume, {target.stat().st_size} arrived")
    progress.done()
    return target


@stopwatch.part("upload")
def upload(volume: Any, local: Path, vol_fp: str, name: str) -> dict[str, Any]:
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


def shown_name(vol_fp: str) -> str:
    return repr(posixpath.basename(vol_fp))


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
