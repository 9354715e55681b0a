import assert from "node:assert/strict";
import {
  ACCOUNTS_MAX,
  ADDRESSES_MAX,
  StrangeAccounts,
} from "../../../src/commands/replay/strange_accounts.ts";

Deno.test("strange accounts: of more than the bounds the oldest address goes, and no account is added", () => {
  const accounts = new StrangeAccounts();
  for (let i = 0; i <= ACCOUNTS_MAX; i++) accounts.failed("a", `${i}`);
  assert.equal(accounts.counts.get("a"), ACCOUNTS_MAX);
  for (let i = 0; i < ADDRESSES_MAX; i++) accounts.failed(`${i}`, "100");
  assert.equal(accounts.counts.get("a"), undefined);
  assert.equal(accounts.counts.size, ADDRESSES_MAX);
});

Deno.test("strange accounts: who logs in there is none of them, before or after", () => {
  const accounts = new StrangeAccounts();
  accounts.failed("a", "100");
  accounts.succeeded("a", "100");
  accounts.failed("a", "100");
  accounts.failed("a", "<unknown>");
  accounts.failed("b", "100");
  assert.deepEqual([...accounts.counts], [["a", 0], ["b", 1]]);
});
