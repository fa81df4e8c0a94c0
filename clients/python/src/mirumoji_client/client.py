"""The client: one method per route, and the events of a job as an iterator."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, TypedDict, cast, overload
from urllib.parse import quote

import httpx

from .types import (
    Batch,
    ConvertRequest,
    Job,
    JobOutputs,
    JobStatus,
    LayoutWish,
    ReformatRequest,
    SubtitleFormat,
    TranscribeRequest,
)

FINAL = ("completed", "failed", "cancelled")
# The API says something each 15 s; a stream that is silent for longer is dead.
SILENCE_SECONDS = 40.0
TRIES = 4

Outputs = list[JobOutputs]
BATCH_POLL_SECONDS = 2.0


class BatchItem(TypedDict):
    """A job of a batch."""

    type: Literal["transcribe", "convert"]
    request: TranscribeRequest | ConvertRequest


Items = list[BatchItem]


class MirumojiError(Exception):
    """An error of the API. `code` is stable; docs/errors.md of mirumoji-worker lists all of them."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Client:
    """Speaks to `mirumoji-worker api`. Close it, or use it in a `with` statement."""

    def __init__(self, api_url: str, api_key: str, *, timeout: float = 30.0) -> None:
        self._http = httpx.Client(
            base_url=api_url.rstrip("/") + "/v1",
            headers={"authorization": f"Bearer {api_key}"},
            timeout=timeout,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @overload
    def submit(
        self, type: Literal["transcribe"], request: TranscribeRequest, *, idempotency_key: str | None = None
    ) -> tuple[Job, bool]: ...
    @overload
    def submit(
        self, type: Literal["convert"], request: ConvertRequest, *, idempotency_key: str | None = None
    ) -> tuple[Job, bool]: ...
    def submit(
        self,
        type: Literal["transcribe", "convert"],
        request: TranscribeRequest | ConvertRequest,
        *,
        idempotency_key: str | None = None,
    ) -> tuple[Job, bool]:
        """Puts a job into its queue. The second value is False when the job of the key was there already."""
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        body = {"type": type, "request": request}
        response = self._ask("POST", "/jobs", json=body, headers=headers)
        return cast(Job, response.json()), response.status_code == 201

    def get(self, job_id: str) -> Job:
        return cast(Job, self._ask("GET", _path(job_id)).json())

    def submit_batch(
        self, items: Items, *, webhook_url: str | None = None, idempotency_key: str | None = None
    ) -> tuple[Batch, bool]:
        """Accepts up to 10,000 jobs, or none. The second value is False when the batch of the key was there already."""
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        webhook = {} if webhook_url is None else {"webhook": {"url": webhook_url}}
        response = self._ask("POST", "/batches", json={"items": items, **webhook}, headers=headers)
        return cast(Batch, response.json()), response.status_code == 201

    def get_batch(self, batch_id: str) -> Batch:
        return cast(Batch, self._ask("GET", _batch_path(batch_id)).json())

    def follow_batch(self, batch_id: str, *, poll: float = BATCH_POLL_SECONDS) -> Iterator[Batch]:
        """The batch as it is, then as it is after changes, until its end; it is looked at each `poll` seconds."""
        shown: Batch | None = None
        while True:
            batch = self.get_batch(batch_id)
            if batch != shown:
                yield batch
            if batch["status"] != "running":
                return
            shown = batch
            time.sleep(poll)

    def wait_batch(
        self, batch_id: str, *, timeout: float | None = None, poll: float = BATCH_POLL_SECONDS
    ) -> Batch:
        """Waits for the end of a batch. Raises TimeoutError after `timeout` seconds; the batch goes on."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (batch := self.get_batch(batch_id))["status"] == "running":
            left = poll if deadline is None else min(poll, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"batch {batch_id} is not over after {timeout} s; it goes on")
            time.sleep(left)
        return batch

    def cancel_batch(self, batch_id: str) -> int:
        """Cancels what is not over; gives how many jobs that were."""
        return int(self._ask("POST", _batch_path(batch_id, "/cancel")).json()["jobs"])

    def retry_batch(self, batch_id: str) -> int:
        """Retries what failed or was cancelled; gives how many jobs that were."""
        return int(self._ask("POST", _batch_path(batch_id, "/retry")).json()["jobs"])

    def list(
        self,
        *,
        type: Literal["transcribe", "convert"] | None = None,
        status: JobStatus | None = None,
        tenant: str | None = None,
        tag: str | None = None,
        since: int | None = None,
        before: int | None = None,
        search: str | None = None,
    ) -> Iterator[Job]:
        """All jobs that match, newest first; pages are read as the iterator goes on."""
        wanted = {
            "type": type,
            "status": status,
            "tenant": tenant,
            "tag": tag,
            "since": since,
            "before": before,
            "search": search,
        }
        query: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        while True:
            page = self._ask("GET", "/jobs", params=query).json()
            yield from cast("list[Job]", page["jobs"])
            if page["nextCursor"] is None:
                return
            query["cursor"] = page["nextCursor"]

    def cancel(self, job_id: str) -> bool:
        """Asks for a job to stop. False when it was over already."""
        return bool(self._ask("POST", _path(job_id, "/cancel")).json()["accepted"])

    def retry(self, job_id: str) -> Job:
        return cast(Job, self._ask("POST", _path(job_id, "/retry")).json())

    def delete(self, job_id: str) -> None:
        """Forgets a job that is over. Its outputs stay where they are."""
        self._ask("DELETE", _path(job_id))

    def transcript(
        self, job_id: str, format: SubtitleFormat = "srt", layout: LayoutWish | None = None
    ) -> str:
        """The text of a transcript. What is left out of `layout` is as the job had it."""
        wish = {name: value for name, value in (layout or {}).items() if value is not None}
        query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in wish.items()}
        return self._ask("GET", _path(job_id, "/transcript"), params={"format": format, **query}).text

    def reformat(self, job_id: str, request: ReformatRequest) -> Outputs:
        """Writes files beside those of the job, from its segments; they are no outputs of the job."""
        response = self._ask("POST", _path(job_id, "/reformat"), json=request)
        return cast(Outputs, response.json()["outputs"])

    def output(self, job_id: str, index: int) -> Iterator[bytes]:
        """The bytes of a file that a job made, by its place in `outputs`."""
        with self._http.stream("GET", _path(job_id, f"/outputs/{index}")) as response:
            if response.is_error:
                response.read()
                raise _error(response)
            yield from response.iter_bytes()

    def follow(self, job_id: str) -> Iterator[Job]:
        """The job as it is, then as it is after each change, until its end; goes on over broken connections."""
        last_id: str | None = None
        failures = 0
        while True:
            try:
                for last_id, job in self._events(job_id, last_id):
                    failures = 0
                    yield job
                    if job["status"] in FINAL:
                        return
            except (httpx.TransportError, MirumojiError) as error:
                if isinstance(error, MirumojiError) and error.code != "API_UNAVAILABLE":
                    raise
                failures += 1
                if failures == TRIES:
                    raise
            time.sleep(0.2 * 2**failures)

    def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Waits for the end of a job. Raises TimeoutError after `timeout` seconds; the job goes on."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            limit = SILENCE_SECONDS if deadline is None else max(deadline - time.monotonic(), 0.01)
            try:
                for _id, job in self._events(job_id, None, min(limit, SILENCE_SECONDS)):
                    if job["status"] in FINAL:
                        return job
                    if deadline is not None and time.monotonic() > deadline:
                        break
            except httpx.TransportError:
                pass
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"job {job_id} is not over after {timeout} s; it goes on")
            time.sleep(0.2)

    def _events(
        self, job_id: str, last_id: str | None, silence: float = SILENCE_SECONDS
    ) -> Iterator[tuple[str | None, Job]]:
        headers = {"accept": "text/event-stream"}
        if last_id is not None:
            headers["last-event-id"] = last_id
        timeout = httpx.Timeout(30.0, read=silence)
        with self._http.stream("GET", _path(job_id, "/events"), headers=headers, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise _error(response)
            event_id: str | None = None
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    event_id = value
                elif name == "data":
                    yield event_id, cast(Job, json.loads(value))

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """What can be repeated is tried again when the API is away or asks for patience."""
        repeats = method == "GET" or "idempotency-key" in options.get("headers", {})
        for attempt in range(1, TRIES + 1):
            pause = 0.2 * 2**attempt
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                failure = MirumojiError("API_UNAVAILABLE", f"the API does not answer: {error}")
            else:
                if not response.is_error:
                    return response
                failure = _error(response)
                pause = float(response.headers.get("retry-after", pause))
            if not repeats or failure.code not in ("API_UNAVAILABLE", "RATE_LIMITED") or attempt == TRIES:
                raise failure
            time.sleep(pause)
        raise AssertionError("unreachable")


def _path(job_id: str, rest: str = "") -> str:
    return f"/jobs/{quote(job_id, safe='')}{rest}"


def _batch_path(batch_id: str, rest: str = "") -> str:
    return f"/batches/{quote(batch_id, safe='')}{rest}"


def _error(response: httpx.Response) -> MirumojiError:
    try:
        problem = response.json()
        return MirumojiError(problem["code"], problem["detail"], response.status_code)
    except (ValueError, KeyError, TypeError):
        text = f"HTTP {response.status_code}: {response.text[:200]}"
        return MirumojiError("API_UNAVAILABLE", text, response.status_code)
