// The client of `npm run bench -- transfers`, in a process of its own so that its processor time and memory are its
// own. Built code, as users run it. Takes one JSON line per measurement on standard input and answers with one.
import { setMaxListeners } from "node:events";
import { open } from "node:fs/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { createHash } from "node:crypto";
import { Agent, request } from "node:http";
import { openModalSession } from "../dist/modal/rpc/session.js";
import { modalVolumes } from "../dist/modal/volumes/volumes.js";
import { unary } from "../dist/modal/rpc/rpc.js";

const BLOCK_BYTES = 8 * 2 ** 20;
const LANES = 8;
const { signal } = new AbortController();
setMaxListeners(0, signal);
const session = openModalSession({
  serverUrl: process.env.MODAL_SERVER_URL,
  tokenId: process.env.MODAL_TOKEN_ID,
  tokenSecret: process.env.MODAL_TOKEN_SECRET,
});
const volumes = modalVolumes(session);

const CLIENTS = {
  /** Transfers of the product. */
  ours: {
    upload: async ({ volumeId, files }) => {
      const put = async ({ local, remote }) =>
        await volumes.putFile({ volumeId, remotePath: remote, localPath: local, signal });
      await measured(async () => await Promise.all(files.map(put)));
    },
    download: async ({ volumeId, files }) => {
      const get = async ({ local, remote }) => {
        const into = await open(`${local}.back`, "w");
        await volumes.getFile({ volumeId, remotePath: remote, into, signal });
        await into.close();
      };
      await measured(async () => await Promise.all(files.map(get)));
    },
  },
  /** Lower bound: the same blocks over the same connections, without any other work. */
  floor: {
    upload: async ({ volumeId, files }) => {
      const blocks = (await Promise.all(files.map(async (file) => await namedBlocks(volumeId, file)))).flat();
      await measured(async () => await inLanes(blocks, putRaw));
    },
    download: async ({ volumeId, files }) => {
      const blocks = (
        await Promise.all(files.map(async (file) => await offeredBlocks(volumeId, file)))
      ).flat();
      await measured(async () => await inLanes(blocks, getRaw));
    },
  },
  /** Lower bound of hashing: one thread that only hashes. */
  sha256: {
    upload: async ({ files }) => {
      await measured(async () => {
        const buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
        for (const { local } of files) {
          const file = await open(local);
          for (let read; (read = (await file.read(buffer)).bytesRead) > 0;) {
            createHash("sha256").update(buffer.subarray(0, read)).digest();
          }
          await file.close();
        }
      });
    },
  },
};

/** Runs it, and prints what it took. */
async function measured(run) {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  const memory = [];
  const began = performance.now();
  const watch = setInterval(() => {
    memory.push([Math.round(performance.now() - began), process.memoryUsage.rss()]);
  }, 50);
  const cpu = process.cpuUsage();
  delay.enable();
  await run();
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  clearInterval(watch);
  const peakBytes = Math.max(process.memoryUsage.rss(), ...memory.map(([, bytes]) => bytes));
  answer = {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    peakBytes,
    memory,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
  };
}
let answer;

const agent = new Agent({ keepAlive: true, maxSockets: LANES });

async function namedBlocks(volumeId, { local, remote }) {
  const file = await open(local);
  const { size } = await file.stat();
  const blocks = [];
  for (let start = 0; start < size; start += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, size - start);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, start);
    let end = length;
    while (end > 0 && buffer[end - 1] === 0) end--;
    const digest = createHash("sha256").update(buffer.subarray(0, end)).digest();
    blocks.push({ file, start, length: end, contentsSha256: new Uint8Array(digest) });
  }
  const named = blocks.map(({ contentsSha256 }) => ({ contentsSha256 }));
  const request2 = { volumeId, files: [{ path: remote, size, blocks: named }] };
  const { missingBlocks } = await unary(session, "volumePutFiles2", request2, { signal });
  return missingBlocks.map(({ blockIndex, putUrl }) => ({ ...blocks[blockIndex], url: putUrl }));
}

async function offeredBlocks(volumeId, { local, remote }) {
  const request2 = { volumeId, path: remote };
  const { getUrls } = await unary(session, "volumeGetFile2", request2, { signal });
  const into = await open(`${local}.back`, "w");
  return getUrls.map((url, index) => ({ url, into, start: index * BLOCK_BYTES }));
}

async function putRaw({ file, start, length, url }, buffer) {
  await file.read(buffer, 0, length, start);
  await exchange(url, { method: "PUT", headers: { "content-length": length } }, buffer.subarray(0, length));
}

async function getRaw({ url, into, start }, buffer) {
  let length = 0;
  await exchange(url, { method: "GET" }, undefined, (piece) => {
    length += piece.copy(buffer, length);
  });
  await into.write(buffer, 0, length, start);
}

function exchange(url, options, body, onData = () => {}) {
  return new Promise((resolve, reject) => {
    const sending = request(url, { ...options, agent }, (response) => {
      response.on("end", () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`the block store answers ${response.statusCode}`));
      });
      response.on("data", onData);
    });
    sending.on("error", reject);
    sending.end(body);
  });
}

async function inLanes(items, work) {
  const waiting = items.values();
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      const buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      for (const item of waiting) await work(item, buffer);
    }),
  );
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  await CLIENTS[order.client][order.direction](order);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
