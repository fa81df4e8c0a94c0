import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { FastifyAdapter } from "@bull-board/fastify";
import type { FastifyInstance } from "fastify";
import { JOB_TYPES } from "../job/contract.ts";
import type { Queues } from "../queue/queues.ts";

export const BOARD_PATH = "/board";

const DESCRIPTIONS = {
  transcribe: "Subtitles and text from speech",
  convert: "H.264 and AAC in MP4",
} as const;

/** Bull Board over both queues. Read-only: editing a job's data behind the machine's back can only do harm. */
export async function addBoard(server: FastifyInstance, queues: Queues): Promise<void> {
  const adapter = new FastifyAdapter();
  adapter.setBasePath(BOARD_PATH);
  createBullBoard({
    queues: JOB_TYPES.map(
      (type) => new BullMQAdapter(queues[type], { readOnlyMode: true, description: DESCRIPTIONS[type] }),
    ),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: "mirumoji-worker" } },
  });
  await server.register(adapter.registerPlugin(), { prefix: BOARD_PATH });
}
