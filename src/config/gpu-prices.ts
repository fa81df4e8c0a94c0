/** What a second on each GPU costs, and when that was looked up. */
export interface GpuPrices {
  /** The day of the table, `YYYY-MM-DD`. */
  readonly asOf: string;
  readonly usdPerHour: Readonly<Record<string, number>>;
}

/** Modal's list prices. They change now and then: `MIRUMOJI_GPU_PRICES` replaces them. */
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

/** The GPU type that stands for a GPU host of one's own, which costs nothing unless a price is set. */
export const OWN_GPU = "own";

const TABLE = /^(?<day>\d{4}-\d{2}-\d{2}):(?<prices>[\w-]+=\d+(\.\d+)?(,[\w-]+=\d+(\.\d+)?)*)$/u;

/** Reads `2026-05-07:A10G=1.10,L4=0.80`; null when it is not of that form. */
export function parseGpuPrices(text: string): GpuPrices | null {
  const { day, prices } = TABLE.exec(text)?.groups ?? {};
  if (day === undefined || prices === undefined || Number.isNaN(Date.parse(day))) return null;
  const rows = prices.split(",").map((row) => row.split("="));
  return { asOf: day, usdPerHour: Object.fromEntries(rows.map(([gpu, usd]) => [gpu, Number(usd)])) };
}

/** What calls run on, and what a second of it costs; null where the table does not know it. */
export interface PricedGpu {
  readonly gpu: string;
  readonly asOf: string;
  readonly usdPerSecond: number | null;
}

/** The GPU that this configuration pays for. Anything but Modal's own server is a GPU host of one's own. */
export function pricedGpu(environment: {
  readonly MODAL_SERVER_URL: string;
  readonly MIRUMOJI_MODAL_GPU: string;
  readonly MIRUMOJI_GPU_PRICES?: GpuPrices | undefined;
}): PricedGpu {
  const isModal = /(^|\.)modal\.(com|run)$/u.test(new URL(environment.MODAL_SERVER_URL).hostname);
  const gpu = isModal ? environment.MIRUMOJI_MODAL_GPU : OWN_GPU;
  const { asOf, usdPerHour } = environment.MIRUMOJI_GPU_PRICES ?? LIST_PRICES;
  const hour = usdPerHour[gpu] ?? (isModal ? null : 0);
  return { gpu, asOf, usdPerSecond: hour === null ? null : hour / 3600 };
}
