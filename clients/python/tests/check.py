"""Walks through the client against an API on which no worker runs: python check.py API_URL API_KEY."""

import sys

from mirumoji_client import BatchItem, Client, MirumojiError


def refused(code: str, act: object) -> None:
    assert callable(act)
    try:
        act()
    except MirumojiError as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"{code} was not raised")


def main(api_url: str, api_key: str) -> None:
    with Client(api_url, api_key) as client:
        job, created = client.submit(
            "convert", {"input": "py.mkv", "tags": ["python"]}, idempotency_key="python"
        )
        assert created and job["status"] == "queued" and job["tags"] == ["python"]
        again, created = client.submit(
            "convert", {"input": "py.mkv", "tags": ["python"]}, idempotency_key="python"
        )
        assert not created and again["id"] == job["id"]
        assert client.get(job["id"])["input"] == "py.mkv"
        client.submit("transcribe", {"input": "second.mkv", "tags": ["python"], "formats": ["srt"]})
        assert [found["input"] for found in client.list(tag="python")] == ["second.mkv", "py.mkv"]
        refused("JOB_NOT_FINISHED", lambda: client.transcript(job["id"]))
        refused("JOB_NOT_FINISHED", lambda: client.transcript(job["id"], "vtt", {"max_lines": 1, "word_times": True}))
        refused("JOB_NOT_FINISHED", lambda: client.reformat(job["id"], {"formats": ["vtt"], "max_line_width": 30}))
        refused("OUTPUT_NOT_FOUND", lambda: list(client.output(job["id"], 0)))
        refused("JOB_NOT_FOUND", lambda: client.wait("nobody"))
        refused("REQUEST_INVALID", lambda: client.submit("convert", {"input": ""}))
        try:
            client.wait(job["id"], timeout=0.3)
        except TimeoutError:
            pass
        else:
            raise AssertionError("the wait did not time out")
        seen: list[str] = []
        for change in client.follow(job["id"]):
            seen.append(change["status"])
            if change["status"] == "queued":
                assert client.cancel(job["id"])
        assert seen == ["queued", "cancelled"], seen
        assert client.wait(job["id"])["status"] == "cancelled"
        assert client.retry(job["id"])["status"] == "queued"
        client.cancel(job["id"])
        client.delete(job["id"])
        refused("JOB_NOT_FOUND", lambda: client.get(job["id"]))
        items: list[BatchItem] = [
            {"type": "convert", "request": {"input": "batch.mkv"}},
            {"type": "transcribe", "request": {"input": "batch.mkv", "formats": ["srt"]}},
        ]
        batch, created = client.submit_batch(items, idempotency_key="python")
        assert created and batch["status"] == "running" and batch["total"] == 2
        again_batch, created = client.submit_batch(items, idempotency_key="python")
        assert not created and again_batch["id"] == batch["id"]
        refused("REQUEST_INVALID", lambda: client.submit_batch([*items, {"type": "convert", "request": {"input": ""}}]))
        try:
            client.wait_batch(batch["id"], timeout=0.1)
        except TimeoutError:
            pass
        else:
            raise AssertionError("the wait for the batch did not time out")
        stands: list[str] = []
        for view in client.follow_batch(batch["id"], poll=0.05):
            stands.append(view["status"])
            if len(stands) == 1:
                assert client.cancel_batch(batch["id"]) == 2
        assert stands[0] == "running" and stands[-1] == "cancelled", stands
        assert client.retry_batch(batch["id"]) == 2
        assert client.cancel_batch(batch["id"]) == 2
        assert client.wait_batch(batch["id"])["cancelled"] == 2
        refused("BATCH_NOT_FOUND", lambda: client.get_batch("batch-none"))
    with Client(api_url, "mk_wrong") as stranger:
        refused("UNAUTHENTICATED", lambda: stranger.get("a"))


main(*sys.argv[1:])
