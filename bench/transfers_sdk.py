"""The official Python SDK in `npm run bench -- transfers`: one transfer, then one JSON line about it.

Each measurement has a process of its own, because Python tells only the highest memory that a process ever had.
"""

import asyncio
import json
import resource
import sys
import time

import modal


async def upload(volume, files):
    async with volume.batch_upload(force=True) as batch:
        for file in files:
            batch.put_file(file["local"], file["remote"])


async def download(volume, files):
    async def get(file):
        with open(file["local"] + ".back", "wb") as into:
            await volume.read_file_into_fileobj.aio(file["remote"], into)

    await asyncio.gather(*(get(file) for file in files))


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main():
    order = json.loads(sys.stdin.readline())
    volume = modal.Volume.from_id(order["volumeId"])
    await volume.hydrate.aio()
    began, spent = time.perf_counter(), cpu_seconds()
    await {"upload": upload, "download": download}[order["direction"]](volume, order["files"])
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu, "peakBytes": peak}))


asyncio.run(main())
