"""A producer in another language: any BullMQ port will do, here the Python one (pip install bullmq).

    REDIS_URL=redis://127.0.0.1:6379 python3 examples/producer.py film.mkv

Queue and job have the name of the job type, the prefix is "{mirumoji}", and the data is what
schema/convert.json says.
"""

import asyncio
import os
import sys

from bullmq import Queue


async def main() -> None:
    prefix = os.environ.get("MIRUMOJI_QUEUE_PREFIX", "{mirumoji}")
    queue = Queue("convert", {"connection": os.environ["REDIS_URL"], "prefix": prefix})
    job = await queue.add("convert", {"v": 1, "input": sys.argv[1], "resolution": "640x360"})
    print(job.id)
    await queue.close()


asyncio.run(main())
