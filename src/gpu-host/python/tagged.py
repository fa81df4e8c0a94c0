"""Values between the host and Python as JSON; what JSON cannot say is an object with one tag.

The types are those that CBOR would give a function on Modal.
"""

import base64
import datetime
import math


class Undefined:
    """Stands for a JavaScript caller's `undefined`; like cbor2's, it is not None."""

    def __repr__(self):
        return "undefined"

    def __bool__(self):
        return False


undefined = Undefined()

# From here on CBOR integers need 64 bits, and JavaScript must read them as BigInt.
WIDE_INTEGER = 2**32


def load(value):
    if isinstance(value, list):
        return [load(item) for item in value]
    if not isinstance(value, dict):
        return value
    [(tag, content)] = value.items()
    return LOADERS[tag](content)


LOADERS = {
    "$map": lambda entries: {load(key): load(item) for key, item in entries},
    "$bytes": base64.b64decode,
    "$int": int,
    "$float": float,
    "$datetime": lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00")),
    "$undefined": lambda _: undefined,
}


def dump(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if abs(value) < WIDE_INTEGER else {"$int": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime.datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, (list, tuple)):
        return [dump(item) for item in value]
    if isinstance(value, dict):
        return {"$map": [[dump(key), dump(item)] for key, item in value.items()]}
    if isinstance(value, Undefined):
        return {"$undefined": True}
    raise TypeError(f"cannot serialize type {type(value).__name__}")
