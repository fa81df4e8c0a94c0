"""Function of `mirumoji-worker modal check` on a CPU container: costs cents and shows that calls work."""

import hashlib
import io
import platform
import time


def canary(vol_fp, vol_id, value):
    """Reads a file of the volume and gives back what it was given, so that both can be compared."""
    import modal

    digest, size = hashlib.sha256(), 0
    for chunk in modal.Volume.from_id(vol_id).read_file(vol_fp):
        digest.update(chunk)
        size += len(chunk)
    return {
        "value": value,
        "sha256": digest.hexdigest(),
        "sizeBytes": size,
        "python": platform.python_version(),
        "client": getattr(modal, "__version__", "stand-in"),
    }


def hold(vol_fp, vol_id, seconds):
    """Says through the volume that it runs, then waits to be cancelled."""
    import modal

    with modal.Volume.from_id(vol_id).batch_upload(force=True) as batch:
        batch.put_file(io.BytesIO(b"running"), vol_fp)
    time.sleep(seconds)
    return "was not cancelled"
