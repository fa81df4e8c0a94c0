import { isIP } from "node:net";
import { z } from "zod";

/** Variables of requests to addresses that callers of the API chose. */
export const outboundVariables = {
  MIRUMOJI_PRIVATE_NETWORKS: z
    .string()
    .transform((list) => list.split(",").map((network) => network.trim()))
    .refine((networks) => networks.every(isNetwork), "must be addresses or networks, with commas")
    .default([])
    .describe(
      "Networks that are not public and that URLs of callers may lead to all the same, such as `10.0.0.0/8`; for them `http` is allowed too.",
    ),
};

function isNetwork(text: string): boolean {
  const [address = "", bits, ...rest] = text.split("/");
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/u.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}
