import type { GpuPrice } from "../job/receipt.ts";

/** Prices per second of each GPU, with the date of the table. */
export interface GpuPrices {
  /** Date of the table, `YYYY-MM-DD`. */
  readonly asOf: string;
  readonly usdPerHour: Readonly<Record<string, number>>;
}

/** Modal's list prices (modal.com/pricing). `MIRUMOJI_GPU_PRICES` replaces them when they change. */
export const LIST_PRICES: GpuPrices = {
  asOf: "2026-05-07",
  usdPerHour: {
    T4: 0.5904,
    L4: 0.7992,
    A10: 1.1016,
    A10G: 1.1016,
    L40S: 1.9512,
    "A100-40GB": 2.0988,
    A100: 2.4984,
    "A100-80GB": 2.4984,
    H100: 3.9492,
    H200: 4.5396,
    B200: 6.2496,
  },
};

/** GPU type of a self-hosted GPU host, which costs nothing unless a price is set. */
const OWN_GPU = "own";

const TABLE = /^(?<day>\d{4}-\d{2}-\d{2}):(?<prices>[\w-]+=\d+(\.\d+)?(,[\w-]+=\d+(\.\d+)?)*)$/u;

/** Parses `2026-05-07:A10G=1.10,L4=0.80`; null when malformed. */
export function parseGpuPrices(text: string): GpuPrices | null {
  const { day, prices } = TABLE.exec(text)?.groups ?? {};
  if (day === undefined || prices === undefined || Number.isNaN(Date.parse(day))) return null;
  const rows = prices.split(",").map((row) => row.split("="));
  return { asOf: day, usdPerHour: Object.fromEntries(rows.map(([gpu, usd]) => [gpu, Number(usd)])) };
}

/** GPU that this configuration pays for, the first of several. Any server but Modal's own is a self-hosted GPU host. */
export function pricedGpu(
  environment: {
    readonly MODAL_SERVER_URL: string;
    readonly MIRUMOJI_MODAL_GPU: readonly string[];
    readonly MIRUMOJI_TRANSCRIBE_GPU?: readonly string[] | undefined;
    readonly MIRUMOJI_CONVERT_GPU?: readonly string[] | undefined;
    readonly MIRUMOJI_GPU_PRICES?: GpuPrices | undefined;
  },
  type?: "transcribe" | "convert",
): GpuPrice {
  const only = { transcribe: environment.MIRUMOJI_TRANSCRIBE_GPU, convert: environment.MIRUMOJI_CONVERT_GPU };
  const gpus = (type === undefined ? undefined : only[type]) ?? environment.MIRUMOJI_MODAL_GPU;
  const isModal = /(^|\.)modal\.(com|run)$/u.test(new URL(environment.MODAL_SERVER_URL).hostname);
  const gpu = isModal ? (gpus[0] ?? "") : OWN_GPU;
  const { asOf, usdPerHour } = environment.MIRUMOJI_GPU_PRICES ?? LIST_PRICES;
  const hour = usdPerHour[gpu] ?? (isModal ? null : 0);
  return { gpu, asOf, usdPerSecond: hour === null ? null : hour / 3600 };
}
