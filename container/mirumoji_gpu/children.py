"""Child processes that never outlive this one."""

from __future__ import annotations

import functools
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Sequence


@functools.lru_cache(maxsize=None)
def _leash() -> tuple[str, ...]:
    """A prefix that makes the kernel kill the child when this process dies, even by SIGKILL; empty if there is none."""
    prefix = ("setpriv", "--pdeathsig", "KILL")
    if not shutil.which(prefix[0]):
        return ()
    check = [*prefix, prefix[0], "--version"]
    works = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    return prefix if works else ()


def run_child(argv: Sequence[str], log: Path, on_line: Callable[[str], None] | None = None) -> int:
    """Run a child to its end: stdout to `on_line`, stderr to the file `log`. It never outlives this function."""
    return run_pipeline([argv], [log], on_line)[0]


def run_pipeline(
    programs: Sequence[Sequence[str]], logs: Sequence[Path], on_line: Callable[[str], None] | None = None
) -> list[int]:
    """The same for children of which each reads what the one before it writes. Gives their exit codes."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        given: Any = subprocess.DEVNULL
        for argv, log in zip(programs, logs):
            with log.open("wb") as stderr:
                child = subprocess.Popen([*_leash(), *argv], stdin=given, stdout=subprocess.PIPE, stderr=stderr)
            if children and children[-1].stdout:
                children[-1].stdout.close()  # so that the writer notices when its reader is gone
            children.append(child)
            given = child.stdout
        stdout = children[-1].stdout
        assert stdout is not None
        for line in io.TextIOWrapper(stdout, encoding="utf-8", errors="replace"):
            if on_line:
                on_line(line.rstrip("\n"))
        return [child.wait() for child in reversed(children)][::-1]
    finally:
        for child in children:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(timeout=2)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def last_words(log: Path, lines: int = 5) -> str:
    """The last words of a child, short enough for an error message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        text = file.read().decode("utf-8", "replace")
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:])[-1000:] or "it said nothing"
