import { z } from "zod";

const text = z.string().min(1);
const number = (min: number, max: number) => z.coerce.number("must be a number").min(min).max(max);

/** Settings of speech and subtitles; part of the schema of the environment. */
export const speechVariables = {
  MIRUMOJI_WHISPER_MODEL: text
    .optional()
    .describe(
      "Whisper model of jobs that name none: a size such as `large-v3-turbo`, a model of the Hugging Face Hub, or the path of a folder beside the GPU. Without it the image's own, `large-v3-turbo` in ours.",
    ),
  MIRUMOJI_WHISPER_MODELS: z
    .string()
    .transform((list) => list.split(",").map((model) => model.trim()))
    .pipe(z.array(text))
    .optional()
    .describe("Other models that a job may name, several with commas."),
  MIRUMOJI_MODAL_MODEL_VOLUME: text
    .default("mirumoji-models")
    .describe(
      "Named Modal volume that keeps the models of `MIRUMOJI_WHISPER_MODEL` and `MIRUMOJI_WHISPER_MODELS` that the image lacks, so that only the first container fetches them. It is made when one of them is a name, and stays.",
    ),
  MIRUMOJI_MODEL_CACHE: text
    .optional()
    .describe(
      "Folder beside the GPU for models that are fetched there where no volume is mounted for them. Without it Hugging Face's own cache.",
    ),
  MIRUMOJI_WHISPER_DEVICE: z
    .enum(["auto", "cuda", "cpu"])
    .optional()
    .describe("Where Whisper runs. Without it on the GPU, if there is one."),
  MIRUMOJI_WHISPER_COMPUTE_TYPE: z
    .enum([
      "default",
      "auto",
      "int8",
      "int8_float16",
      "int8_float32",
      "int8_bfloat16",
      "int16",
      "float16",
      "bfloat16",
      "float32",
    ])
    .optional()
    .describe(
      "Numbers that Whisper computes with: smaller ones take less memory and time. Without it as the model is stored, and `int8` on a CPU.",
    ),
  MIRUMOJI_CACHE: number(0, 2_592_000)
    .int("must be a whole number")
    .default(0)
    .describe(
      "How old a transcript of the very same sound, with the same options and model, may be to be taken in place of a GPU call, where the request does not say (`cache`), in seconds; 0 takes none. It must still be kept (`MIRUMOJI_KEEP_SEGMENTS`).",
    ),
  MIRUMOJI_PARALLEL: number(1, 64)
    .int("must be a whole number")
    .default(1)
    .describe(
      "Most containers that share one film, where its request does not say how many (`parallel`). It is cut into parts of 2 to 10 minutes at its pauses; each container has to start and to load the model. 1 transcribes every film in one container.",
    ),
  MIRUMOJI_PARALLEL_START: number(0, 3600)
    .default(20)
    .describe(
      "How long a container takes until it transcribes, in seconds that are paid: a film gets no more containers than have more work than that.",
    ),
  MIRUMOJI_LLM_URL: z
    .url({ protocol: /^https?$/u, error: "must look like https://api.openai.com/v1" })
    .optional()
    .describe(
      "Language model that corrects (`fix`) and translates (`translate_to`) subtitles: an endpoint with OpenAI's chat completions, such as `https://api.openai.com/v1`. Without it such jobs are refused.",
    ),
  MIRUMOJI_LLM_MODEL: text.default("gpt-4o-mini").describe("Name of the model there."),
  MIRUMOJI_LLM_KEY: text.optional().describe("Key for it. Never logged."),
  MIRUMOJI_LLM_PRICES: z
    .string()
    .regex(/^\d+(\.\d+)?,\d+(\.\d+)?$/u, "must look like 0.15,0.60 (USD per million tokens in and out)")
    .transform((prices) => {
      const [input = 0, output = 0] = prices.split(",").map(Number);
      return { input, output };
    })
    .optional()
    .describe(
      "Its prices in USD per million tokens, in and out, as `0.15,0.60`; with them the report says what a job cost.",
    ),
  MIRUMOJI_KEEP_SEGMENTS: number(0, 2_592_000)
    .default(604_800)
    .describe(
      "How long the segments of a finished transcript are kept in Redis, so that `reformat` makes other formats and layouts without the GPU, in seconds; 0 keeps none.",
    ),
  MIRUMOJI_KEEP_SEGMENTS_LIMIT: number(1, 100_000)
    .int("must be a whole number")
    .default(64)
    .describe(
      "Memory of Redis for them, in MiB; the oldest make room. An hour of speech takes about 0.1 MiB.",
    ),
};
