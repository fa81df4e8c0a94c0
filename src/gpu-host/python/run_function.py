"""Runs function calls of the GPU host, mostly one, and reports how they went.

The launcher forks a process for it, in a group of its own. That connects to the host three times: for its standard
output, its standard error, and descriptor 3, which brings the job as one JSON line and takes reports the same way.
"""

import base64
import ctypes
import gc
import importlib
import json
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import traceback

import tagged
from modal.declaration import Function
from modal.exception import InputCancellation

REPORT_FD = 3
PR_SET_PDEATHSIG = 1
STREAMS = (("stdout", 1), ("stderr", 2), ("reports", REPORT_FD))

try:
    libc = ctypes.CDLL(None)
except OSError:
    libc = None


def settle(order):
    """Environment and directory of a call."""
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["workDir"])


def main(socket_path, call_id, launcher):
    die_with(launcher)
    clean = (list(sys.path), os.umask(0o022))
    os.umask(clean[1])
    while True:
        for name, descriptor in STREAMS:
            connect(socket_path, f"{call_id} {name}\n", descriptor)
        # The host answers when it knows all three, so that nothing of a call that has begun can get lost.
        job = json.loads(read_line(REPORT_FD))
        is_done = run(job)
        sys.stdout.flush()
        sys.stderr.flush()
        if not (is_done and job["mayStay"] and stays(job)):
            # Not sys.exit: threads that the function left running must not keep the call open.
            os._exit(0)
        call_id = wait_for_call(socket_path, call_id, clean)


def stays(job):
    """Whether the function's module wants its process to do further calls, and left nothing running in it."""
    wants = getattr(sys.modules.get(job["module"]), "stays_warm", None)
    try:
        return callable(wants) and bool(wants()) and threading.active_count() == 1 and not has_company()
    except Exception:
        return False


def has_company():
    """Whether other processes are in our group; those are killed with ours, and only so."""
    own, group = os.getpid(), os.getpgid(0)
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(name) != own and os.getpgid(int(name)) == group:
                return True
        except OSError:
            pass  # It ended meanwhile.
    return False


def wait_for_call(socket_path, call_id, clean):
    """Waits for another call as if this one had ended: nothing of it may show in the next. Gives the ID of that one."""
    path, mask = clean
    sys.path[:] = path
    os.umask(mask)
    os.chdir("/")
    tempfile.tempdir = None
    gc.collect()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(socket_path)
        connection.sendall(f"{call_id} idle {own_bytes()}\n".encode())
        # Their end is the end of the call.
        with open(os.devnull, "r+b") as nothing:
            for _, descriptor in STREAMS:
                os.dup2(nothing.fileno(), descriptor, inheritable=descriptor != REPORT_FD)
        order = json.loads(read_line(connection.fileno()))
    settle(order)
    return order["id"]


def own_bytes():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def connect(socket_path, greeting, descriptor):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(socket_path)
        connection.sendall(greeting.encode())
        os.dup2(connection.fileno(), descriptor, inheritable=descriptor != REPORT_FD)


def read_line(descriptor):
    line = bytearray()
    while not line.endswith(b"\n"):
        data = os.read(descriptor, 1 << 20)
        if not data:
            os._exit(1)  # The host does not want this call any more.
        line += data
    return line


def die_with(launcher):
    """On Linux; elsewhere the launcher's own care is all there is."""
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except AttributeError:
        return
    if os.getppid() != launcher:
        os._exit(1)


def cancel(_signal, _frame):
    raise InputCancellation("Input was cancelled by user")


def run(job):
    """Whether the function came to its end; a process that was cancelled in it, or failed, is of no more use."""
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    signal.signal(signal.SIGTERM, cancel)
    try:
        function = find(job)
        args, kwargs = read_arguments(job["args"])
        if job["args"]["format"] == "pickle":
            report(describe(args, kwargs))
    except InputCancellation:
        return False
    except BaseException as error:
        report(failed("init_failure", error))
        return False
    try:
        result = function(*args, **kwargs)
        if hasattr(result, "__await__"):
            result = wait_for(result)
        done = succeeded(result, job["resultFormat"])
    except InputCancellation:
        return False
    except BaseException as error:
        done = failed("failure", error)
    # From here on the result counts: a cancel that arrives now is too late.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(done)
    return done["kind"] == "success"


def wait_for(awaitable):
    import asyncio  # Rarely needed, and slow to load.

    async def waiting():
        return await awaitable

    return asyncio.run(waiting())


def find(job):
    sys.path.insert(0, job["importRoot"])
    function = getattr(importlib.import_module(job["module"]), job["attribute"])
    return function.local if isinstance(function, Function) else function


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
