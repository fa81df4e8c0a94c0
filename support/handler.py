"""A handler without engines: what it gives depends on the input's bytes alone, and it takes as long as its name says."""

import hashlib
import json
import os
import re
import time


def transcribe(vol_fp, vol_id, output_format="segments", *, w_model_args=None, w_transcribe_args=None):
    digest = hashlib.sha256(_read(vol_id, vol_fp)).hexdigest()
    segments = {"v": 1, "language": "en", "segments": [{"start": 0, "end": 1, "text": digest}]}
    return _answer(vol_id, vol_fp, "segments.json", json.dumps(segments).encode(), {"engine": "crash-test"})


def convert(vol_fp, vol_id, to_mp4_kwargs=None):
    data = _read(vol_id, vol_fp)
    head = hashlib.sha256(data).hexdigest().encode()
    return _answer(vol_id, vol_fp, "output.mp4", head + data[::-1], {"encoder": "crash-test"})


def _read(vol_id, vol_fp):
    return b"".join(_volume(vol_id).read_file(vol_fp))


def _answer(vol_id, vol_fp, name, data, extra):
    seconds = re.search(r"/wait([0-9.]+)-", vol_fp)
    time.sleep(float(seconds.group(1)) if seconds else 0.1)
    with open(name, "wb") as file:
        file.write(data)
    path = os.path.dirname(vol_fp) + "/out/" + name
    with _volume(vol_id).batch_upload(force=True) as batch:
        batch.put_file(name, path)
    seen = {"path": path, "sha256": hashlib.sha256(data).hexdigest()}
    return {"v": 1, "ok": True, **seen, "mediaSeconds": 1, "gpuSeconds": 0.1, "warnings": [], **extra}


def _volume(vol_id):
    import modal

    return modal.Volume.from_id(vol_id)
