/** A process with the programs of nftables that stay, which a test kills. */

import { startChild } from "../../src/firewall/child.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { NftablesBackend } from "../../src/firewall/nftables/nftables.ts";
import { NftTable } from "../../src/firewall/nftables/table.ts";
import { until } from "./namespace.ts";

const table = new NftTable({ name: "ampere", start: startChild });
const backends = ([4, 6] as const).map((family) => new NftablesBackend({ family, table }));
const firewall = new Firewall({ backends, log: console, verifyMs: 3_600_000 });
await firewall.start([]);
await until("the programs stay", () => table.isResident);
await firewall.idle();
console.log("ready");
