"""Runner of a job, up to its answer."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

from . import stopwatch
from .errors import Expected
from .progress import log

VERSION = 1


def answer(job: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Run a job in a temporary directory that is gone afterwards, whatever happens."""
    stopwatch.start()
    try:
        with _sigterm_unwinds(), tempfile.TemporaryDirectory(prefix="mirumoji-") as temp:
            return {**job(Path(temp), *args), "seconds": stopwatch.seconds()}
    except Expected as error:
        log(f"{error.code}: {error}")
        return {"v": VERSION, "ok": False, "error": {"code": error.code, "message": str(error)}}


@contextlib.contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that children and files go; a handler of the container's own is kept."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not ours:
        yield
        return

    def stop(signum: int, _frame: Any) -> None:
        signal.signal(signum, signal.SIG_IGN)  # a second one must not interrupt the clean-up
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
