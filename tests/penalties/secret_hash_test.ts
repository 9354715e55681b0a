/** Accounts and hosts as numbers. */

import assert from "node:assert/strict";
import { SecurityEvent } from "../../src/ami/event.ts";
import { keyAddress, keyOf } from "../../src/penalties/host_key.ts";
import { accountHash, hashAccount, hashHost } from "../../src/penalties/secret_hash.ts";

const WRONG = {
  kind: "ChallengeResponseFailed",
  transport: "UDP",
  address: "203.0.113.5",
  detail: "",
  session: 1,
  answer: 1,
  time: "2026-11-22T08:09:09.918+0000",
} as const;

Deno.test("secret hash: an account is the same by its event and by its name, and each service has its own", () => {
  const hashes = new Set<number>();
  for (const service of ["PJSIP", "SIP", "AMI", "IAX2"] as const) {
    for (const account of ["100", "101", ""]) {
      const event = new SecurityEvent();
      event.state({ ...WRONG, service, account });
      assert.equal(accountHash(event), hashAccount({ service, account }), `${service} ${account}`);
      hashes.add(accountHash(event));
    }
  }
  assert.equal(hashes.size, 12);
});

Deno.test("secret hash: an IPv4 host is its address, all others are told apart", () => {
  assert.equal(hashHost(keyOf("203.0.113.5")), keyOf("203.0.113.5"));
  assert.equal(hashHost("2001:db8::1"), hashHost("2001:db8::1"));
  assert.notEqual(hashHost("2001:db8::1"), hashHost("2001:db8::2"));
});

Deno.test("host key: it is an address, whichever form it has", () => {
  assert.deepEqual(keyAddress(keyOf("203.0.113.5")), {
    family: 4,
    words: [0xcb007105],
    prefix: 32,
  });
  assert.deepEqual(keyAddress(keyOf("2001:db8::1")), {
    family: 6,
    words: [0x20010db8, 0, 0, 1],
    prefix: 128,
  });
});
