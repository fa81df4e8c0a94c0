"""Lines on stdout: progress, and plain log."""

from __future__ import annotations

import json
import sys
import threading
import time


class Progress:
    """Progress of one stage: never backwards, at most four lines a second beside the first and the last."""

    part: int | None = None
    """Number of the part of a film that this process hears; lines of other parts come from elsewhere."""

    def __init__(self, stage: str) -> None:
        self.stage, self.fraction, self.at = stage, -1.0, 0.0
        self.lock = threading.Lock()  # the SDK reports transfers from its own thread
        self.set(0.0)

    def set(self, fraction: float) -> None:
        fraction = round(min(1.0, max(0.0, fraction)), 4)
        with self.lock:
            now = time.monotonic()
            if fraction <= self.fraction or (0 < fraction < 1 and now - self.at < 0.25):
                return
            self.fraction, self.at = fraction, now
            which = {} if Progress.part is None else {"part": Progress.part}
            log("MIRUMOJI " + json.dumps({"stage": self.stage, "fraction": fraction, **which}))

    def done(self) -> None:
        self.set(1.0)


def log(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
