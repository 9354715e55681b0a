/**
 * Run in another network namespace: `FROM TO PORT TIMES` guesses passwords of a phone, and prints
 * what Asterisk answered to each.
 *
 * @module
 */

import { SipAgent } from "./sip.ts";

const [from = "", host = "", port = "", times = ""] = Deno.args;
using agent = await SipAgent.open(from, { host, port: Number(port) });
for (let i = 0; i < Number(times); i++) {
  console.log(await agent.registerAnew({ password: `guess${i}` }));
}
