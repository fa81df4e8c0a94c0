"""Volumes as a function sees them, backed by the host's directories."""

import io
import os
import shutil
import uuid
from dataclasses import dataclass
from enum import IntEnum
from pathlib import PurePosixPath

from .exception import InvalidError, NotFoundError

CHUNK_BYTES = 8 * 1024 * 1024


class FileEntryType(IntEnum):
    FILE = 1
    DIRECTORY = 2


@dataclass(frozen=True)
class FileEntry:
    path: str
    type: FileEntryType
    mtime: int
    size: int


class Volume:
    def __init__(self, volume_id):
        self.object_id = volume_id

    @classmethod
    def from_id(cls, volume_id):
        return cls(volume_id)

    @classmethod
    def from_name(cls, name, **_options):
        """A volume that a script declares. It can be used by its ID only, so that each use fails with a clear error."""
        return cls(f"{name} (named volumes are opened by their ID on a GPU host)")

    def read_file(self, path):
        """The file's bytes in chunks."""
        with open(self._existing(path), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def read_file_into_fileobj(self, path, fileobj, progress_cb=None):
        """Writes the file into `fileobj` and gives the number of bytes."""
        with open(self._existing(path), "rb") as file:
            shutil.copyfileobj(file, fileobj, CHUNK_BYTES)
            total = file.tell()
        if progress_cb is not None:
            progress_cb(total)
        return total

    def local_path(self, path):
        """Place of a file on this machine, to be read only. Modal's package has nothing like it: volumes are elsewhere."""
        return self._existing(path)

    def listdir(self, path="/", *, recursive=False):
        return list(self.iterdir(path, recursive=recursive))

    def iterdir(self, path="/", *, recursive=False):
        target = self._existing(path)
        if os.path.isfile(target):
            yield self._entry(target)
            return
        for name in sorted(os.listdir(target)):
            inner = os.path.join(target, name)
            yield self._entry(inner)
            if recursive and os.path.isdir(inner):
                yield from self.iterdir(os.path.relpath(inner, self._files()), recursive=True)

    def remove_file(self, path, recursive=False):
        target = self._existing(path)
        if os.path.isfile(target):
            os.remove(target)
        elif recursive:
            shutil.rmtree(target)
        else:
            raise InvalidError(f"{path} is a directory; remove it with recursive=True")

    def batch_upload(self, force=False):
        return BatchUpload(self, force)

    def commit(self):
        """Nothing to do: every change is there at once."""

    def reload(self):
        """Nothing to do: every change is seen at once."""

    def _files(self):
        volume_id = self.object_id
        if "/" in volume_id or not volume_id.startswith("vo-"):
            raise NotFoundError(f"Volume {volume_id} not found")
        files = os.path.join(os.environ["MIRUMOJI_GPU_HOST_VOLUMES"], volume_id, "files")
        if not os.path.isdir(files):
            raise NotFoundError(f"Volume {volume_id} not found")
        return files

    def _place(self, path):
        parts = [part for part in PurePosixPath(path).parts if part != "/"]
        if ".." in parts or "\0" in str(path):
            raise InvalidError(f"{path} leaves the volume")
        return os.path.join(self._files(), *parts)

    def _existing(self, path):
        target = self._place(path)
        if not os.path.exists(target):
            raise FileNotFoundError(f"{path} is not in volume {self.object_id}")
        return target

    def _entry(self, target):
        status = os.stat(target)
        kind = FileEntryType.DIRECTORY if os.path.isdir(target) else FileEntryType.FILE
        size = status.st_size if kind is FileEntryType.FILE else 0
        return FileEntry(os.path.relpath(target, self._files()), kind, int(status.st_mtime), size)


class BatchUpload:
    """Collects files and puts them into the volume at the end of the `with` block."""

    def __init__(self, volume, force):
        self._volume = volume
        self._force = force
        self._uploads = []

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_traceback):
        if exc_value is not None:
            return
        for source, target, remote_path in self._uploads:
            if not self._force and os.path.exists(target):
                raise FileExistsError(f"{remote_path} is in volume {self._volume.object_id} already")
            put(source, target, os.path.dirname(self._volume._files()))

    def put_file(self, local_file, remote_path, mode=None):
        remote_path = str(remote_path)
        if remote_path.endswith("/"):
            raise InvalidError(f"{remote_path} does not name a file")
        self._uploads.append((local_file, self._volume._place(remote_path), remote_path))


def put(source, target, volume_directory):
    """Writes beside the volume's files and renames, so that a reader never sees half a file."""
    staging = os.path.join(volume_directory, "staging")
    os.makedirs(staging, exist_ok=True)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    partial = os.path.join(staging, f"{uuid.uuid4().hex}.put")
    try:
        if isinstance(source, io.IOBase):
            with open(partial, "wb") as into:
                shutil.copyfileobj(source, into, CHUNK_BYTES)
        else:
            shutil.copyfile(source, partial)
        os.replace(partial, target)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
