/** Addresses that may hide who calls, and when they are told. */

import assert from "node:assert/strict";
import {
  OWN_ACCOUNTS_MIN,
  PROXIES_WATCHED_MAX,
  PROXY_ACCOUNTS_MAX,
  PROXY_WATCH_MS_MIN,
  ProxySigns,
} from "../../src/penalties/proxy_signs.ts";

Deno.test("proxy signs: of more proxies than the bound the oldest is watched anew, and its accounts are bounded", () => {
  const proxies = new ProxySigns();
  const isFound = (host: number) => {
    for (let i = 0; i < PROXY_ACCOUNTS_MAX + 100; i++) {
      proxies.failed(host, `strange${i}`, PROXY_WATCH_MS_MIN - 1);
    }
    for (let i = 0; i < 2 * OWN_ACCOUNTS_MIN; i++) {
      proxies.succeeded(host, `own${i % OWN_ACCOUNTS_MIN}`);
    }
    proxies.failed(host, "strange", PROXY_WATCH_MS_MIN);
    return proxies.takeFound();
  };
  for (let i = 0; i <= PROXIES_WATCHED_MAX; i++) proxies.failed(i, "a", 0);
  const [found] = isFound(1);
  assert.equal(found!.strange, PROXY_ACCOUNTS_MAX, "accounts are counted up to a bound");
  assert.deepEqual(isFound(0), [], "watched anew");
});
