"""Small jobs of `npm run bench -- far` with the official Python SDK: one after the other, each timed.

`one app` registers the functions once; `seed` does what Mirumoji does for each job: an app, a volume and a call.
"""

import asyncio
import contextlib
import json
import sys
import time

import modal
import pipeline_sdk


async def main():
    order = json.loads(sys.stdin.readline())
    found = []
    async with contextlib.AsyncExitStack() as stack:
        shared = None
        if order["way"] == "one app":
            app, shared = pipeline_sdk.make_app()
            await stack.enter_async_context(app.run())
        for index in range(order["jobs"] + 1):
            began = time.perf_counter()
            await pipeline_sdk.run_job(order["inputs"][index], order["target"], shared)
            found.append((time.perf_counter() - began) * 1000)
    # The first job pays for connections and imports.
    print(json.dumps(found[1:]), flush=True)


asyncio.run(main())
