"""Runs one function call of the GPU host and reports how it went.

The host starts this file in a process group of its own, writes one JSON line to standard input and keeps
that pipe open: its end means that the host is gone, and then the whole group is killed. Reports leave as
JSON lines on descriptor 3; standard output and error belong to the function.
"""

import base64
import ctypes
import importlib
import json
import os
import pickle
import signal
import sys
import threading
import traceback

import tagged
from modal.exception import InputCancellation

REPORT_FD = 3
PR_SET_PDEATHSIG = 1


def main():
    job = json.loads(sys.stdin.buffer.readline())
    child = os.fork()
    if child == 0:
        run(job)
        # Not sys.exit: what the function left running in threads must not keep the call open.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    supervise(child)


def supervise(child):
    """Waits for the function in a process that always has time to notice that the host died."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.close(REPORT_FD)
    threading.Thread(target=die_with_host, daemon=True).start()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


def die_with_host():
    while sys.stdin.buffer.read(1):
        pass
    os.killpg(0, signal.SIGKILL)


def die_with_supervisor():
    """On Linux; elsewhere the process group is all there is."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        pass


def cancel(_signal, _frame):
    raise InputCancellation("Input was cancelled by user")


def run(job):
    die_with_supervisor()
    os.set_inheritable(REPORT_FD, False)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    signal.signal(signal.SIGTERM, cancel)
    try:
        function = find(job)
        args, kwargs = read_arguments(job["args"])
        if job["args"]["format"] == "pickle":
            report(describe(args, kwargs))
    except InputCancellation:
        return
    except BaseException as error:
        report(failed("init_failure", error))
        return
    try:
        result = function(*args, **kwargs)
        if hasattr(result, "__await__"):
            result = wait_for(result)
        done = succeeded(result, job["resultFormat"])
    except InputCancellation:
        return
    except BaseException as error:
        done = failed("failure", error)
    # From here on the result counts: a cancel that arrives now is too late.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(done)


def wait_for(awaitable):
    import asyncio  # Rarely needed, and slow to load.

    async def waiting():
        return await awaitable

    return asyncio.run(waiting())


def find(job):
    sys.path.insert(0, job["importRoot"])
    return getattr(importlib.import_module(job["module"]), job["attribute"])


def read_arguments(args):
    if args["format"] == "pickle":
        data = base64.b64decode(args["data"])
        return pickle.loads(data) if data else ((), {})
    positional, keywords = tagged.load(args["value"])
    return positional, keywords


def describe(args, kwargs):
    """The volume and path a call works on, which the host cannot read out of pickled arguments."""
    named = {**dict(zip(("vol_fp", "vol_id"), args)), **kwargs}
    target = {"path": named.get("vol_fp"), "volumeId": named.get("vol_id")}
    return {"kind": "arguments", "target": {key: value for key, value in target.items() if isinstance(value, str)}}


def succeeded(result, result_format):
    try:
        if result_format == "pickle":
            return {"kind": "success", "data": base64.b64encode(pickle.dumps(result)).decode()}
        return {"kind": "success", "value": tagged.dump(result)}
    except Exception as error:
        raise RuntimeError(f"SerializationError: the result cannot be sent back: {error}") from error


def failed(kind, error):
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    sys.stderr.write(text)
    return {"kind": kind, "exception": repr(error), "traceback": text}


def report(document):
    data = memoryview(json.dumps(document).encode() + b"\n")
    while data:
        data = data[os.write(REPORT_FD, data) :]


if __name__ == "__main__":
    main()
