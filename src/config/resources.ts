import { z } from "zod";

const gpuNames = z
  .string()
  .regex(
    /^[A-Za-z0-9-]+(\s*,\s*[A-Za-z0-9-]+)*$/u,
    "must be a GPU name such as A10G, or several with commas, such as A10G,L4,any",
  );
const listed = (names: string): readonly string[] =>
  names.split(",").map((name) => name.trim().toUpperCase());
const gpus = gpuNames.transform(listed);
const cores = z.coerce.number("must be a number").min(0.125).max(64);
const mebibytes = z.coerce.number("must be a number").int("must be a whole number").min(128).max(344_064);
const seconds = z.coerce.number("must be a number").min(2).max(3600);

/** Resources of the functions on Modal, for both and for each; part of the schema of the environment. */
export const resourceVariables = {
  MIRUMOJI_MODAL_GPU: gpuNames
    .default("A10G")
    .transform(listed)
    .describe(
      "GPU type, or several with commas, the best first, of which Modal takes one that is free: `A10G,L4,any`. Convert needs one with NVENC to be fast: T4, L4, A10G, L40S, not A100 or H100.",
    ),
  MIRUMOJI_MODAL_CPU: cores
    .optional()
    .describe("Cores that are kept for a container, such as `4`. Without it Modal's least."),
  MIRUMOJI_MODAL_MEMORY: mebibytes
    .optional()
    .describe("Memory that is kept for a container, in MiB. Without it Modal's least."),
  MIRUMOJI_MODAL_SCALEDOWN_WINDOW: seconds
    .default(60)
    .describe("How long an idle container is kept warm, in seconds."),
  MIRUMOJI_TRANSCRIBE_GPU: gpus.optional().describe("`MIRUMOJI_MODAL_GPU` of `transcribe` alone."),
  MIRUMOJI_TRANSCRIBE_CPU: cores.optional().describe("`MIRUMOJI_MODAL_CPU` of `transcribe` alone."),
  MIRUMOJI_TRANSCRIBE_MEMORY: mebibytes.optional().describe("`MIRUMOJI_MODAL_MEMORY` of `transcribe` alone."),
  MIRUMOJI_TRANSCRIBE_SCALEDOWN_WINDOW: seconds
    .optional()
    .describe("`MIRUMOJI_MODAL_SCALEDOWN_WINDOW` of `transcribe` alone."),
  MIRUMOJI_CONVERT_GPU: gpus.optional().describe("`MIRUMOJI_MODAL_GPU` of `convert` alone."),
  MIRUMOJI_CONVERT_CPU: cores.optional().describe("`MIRUMOJI_MODAL_CPU` of `convert` alone."),
  MIRUMOJI_CONVERT_MEMORY: mebibytes.optional().describe("`MIRUMOJI_MODAL_MEMORY` of `convert` alone."),
  MIRUMOJI_CONVERT_SCALEDOWN_WINDOW: seconds
    .optional()
    .describe("`MIRUMOJI_MODAL_SCALEDOWN_WINDOW` of `convert` alone."),
};
