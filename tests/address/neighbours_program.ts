/**
 * Prints what a program knows of the machine's neighbours, so many times, a second after each
 * other.
 */

import { defaultGateways, resolvers } from "../../src/address/neighbours.ts";

for (let i = 0; i < Number(Deno.args[0]); i++) {
  if (i > 0) await new Promise((resolve) => setTimeout(resolve, 1_000));
  console.log(JSON.stringify({ gateways: defaultGateways(), resolvers: resolvers() }));
}
