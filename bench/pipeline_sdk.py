"""The jobs of `npm run bench -- pipeline` with the official Python SDK, step by step as Mirumoji does them.

Takes one JSON line per round on standard input and answers with one: how long the round took and how much processor
time this process spent. `perJob` registers the app for every job, as Mirumoji does; `shared` once for all of them.
"""

import asyncio
import contextlib
import json
import os
import resource
import sys
import time

import modal
import pipeline_handler


def make_app():
    app = modal.App("mirumoji-gpu", image=modal.Image.from_registry("example/python:3"))
    functions = {
        name: app.function(include_source=True, timeout=3600)(getattr(pipeline_handler, name))
        for name in ("transcribe", "convert")
    }
    return app, functions["convert"]


async def run_job(source, target, shared):
    async with contextlib.AsyncExitStack() as stack:
        volume = await stack.enter_async_context(modal.Volume.ephemeral(version=2))
        async with volume.batch_upload() as batch:
            batch.put_file(source, "media/input.mp4")
        if shared is None:
            app, convert = make_app()
            await stack.enter_async_context(app.run())
        else:
            convert = shared
        result = await convert.remote.aio("media/input.mp4", volume.object_id, {"preset": "balanced"})
        with open(target, "wb") as file:
            await volume.read_file_into_fileobj.aio(result["path"], file)
    if os.path.getsize(target) != os.path.getsize(source):
        raise RuntimeError(f"{target} is not as long as {source}")
    os.remove(target)


async def run_jobs(order, shared):
    waiting = iter(range(order["jobs"]))

    async def lane():
        for index in waiting:
            source = order["inputs"][index % len(order["inputs"])]
            await run_job(source, f"{order['outputs']}/sdk-{index}.mp4", shared)

    await asyncio.gather(*(lane() for _ in range(order["atATime"])))


async def run_round(order):
    async with contextlib.AsyncExitStack() as stack:
        shared = None
        if order["app"] == "shared":
            app, shared = make_app()
            await stack.enter_async_context(app.run())
        began, spent = time.perf_counter(), cpu_seconds()
        await run_jobs(order, shared)
        return {"seconds": time.perf_counter() - began, "cpuSeconds": cpu_seconds() - spent}


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main():
    for line in sys.stdin:
        print(json.dumps(await run_round(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
