"""Starts a process for every function call of the GPU host, and tells how each one ended.

A Python that has loaded already what every call needs is forked: that takes a few milliseconds where a new one takes a
hundred, and each call still has memory, a process group, a directory and an environment of its own. Nothing of any
function is loaded here, and there is no second thread, so that a fork is safe. A process that waits with a model in
memory does further calls under another name.

Orders are JSON lines on standard input, `start`, `rename` and `kill`; what becomes of processes goes out on descriptor 3. The
end of standard input means that the host is gone: then every call is killed.
"""

import gc
import json
import os
import select
import shutil
import signal
import sys

import run_function

REPORTS = 3
LONGEST_READ = 1 << 20


class Launcher:
    def __init__(self, socket_path):
        self.socket_path = socket_path
        self.pid = os.getpid()
        self.calls = {}

    def serve(self):
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        # A child that ends makes `poll` return.
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.own = (woken, wake)
        poller = select.poll()
        poller.register(0, select.POLLIN)
        poller.register(woken, select.POLLIN)
        rest = b""
        while True:
            for descriptor, _ in poller.poll():
                data = os.read(descriptor, LONGEST_READ)
                if descriptor == woken:
                    continue
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self.obey(json.loads(line))
            self.fetch_ended()

    def obey(self, order):
        if "start" in order:
            self.start(order)
            return
        if "rename" in order:
            self.rename(order["rename"], order["to"])
            return
        for pid, call in self.calls.items():
            if call == order["kill"]:
                kill_group(pid, getattr(signal, order["signal"]))

    def start(self, order):
        call = order["start"]
        try:
            pid = os.fork()
        except OSError as error:
            report({"id": call, "error": str(error)})
            return
        if pid == 0:
            self.become(order)
        # Parent and child both set it, so that it is set whichever runs first.
        set_group(pid)
        self.calls[pid] = call
        report({"id": call, "pid": pid})

    def rename(self, call, following):
        """A process that waited for another call takes one."""
        for pid, known in self.calls.items():
            if known == call:
                self.calls[pid] = following
                return
        # It died meanwhile, which was told under its old name.
        report({"id": following, "code": None, "signal": "SIGKILL"})

    def become(self, order):
        """The child: never returns."""
        try:
            set_group(0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in self.own:
                os.close(descriptor)
            run_function.settle(order)
            run_function.main(self.socket_path, order["start"], self.pid)
        finally:
            os._exit(1)

    def fetch_ended(self):
        while self.calls:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            # Processes that the function left in the background; the group is still its own until it is fetched.
            kill_group(ended.si_pid, signal.SIGKILL)
            _, status = os.waitpid(ended.si_pid, 0)
            signalled = os.WIFSIGNALED(status)
            report(
                {
                    "id": self.calls.pop(ended.si_pid),
                    "code": None if signalled else os.waitstatus_to_exitcode(status),
                    "signal": signal_name(os.WTERMSIG(status)) if signalled else None,
                }
            )

    def kill_all(self):
        for pid in self.calls:
            kill_group(pid, signal.SIGKILL)


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"  # Real-time signals have no names here.


def set_group(pid):
    try:
        os.setpgid(pid, pid)
    except OSError:
        pass  # It is done, or the child is gone already.


def kill_group(pid, number):
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # The group is empty.


def report(document):
    data = memoryview(json.dumps(document).encode() + b"\n")
    while data:
        data = data[os.write(REPORTS, data) :]


def main():
    socket_path = sys.argv[1]
    launcher = Launcher(socket_path)
    gc.collect()
    # Objects loaded before a fork stay shared.
    gc.freeze()
    try:
        launcher.serve()
    except BrokenPipeError:
        pass  # The host is gone.
    finally:
        launcher.kill_all()
        # A host that was killed cannot do it.
        shutil.rmtree(os.path.dirname(socket_path), ignore_errors=True)


if __name__ == "__main__":
    main()
