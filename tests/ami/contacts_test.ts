import assert from "node:assert/strict";
import { type AskForList, ENDPOINTS_MAX, registeredAddresses } from "../../src/ami/contacts.ts";
import type { Answer } from "../../src/ami/client.ts";

type Lists = Readonly<Record<string, readonly Readonly<Record<string, string>>[] | undefined>>;

/**
 * An Asterisk that knows these lists, by action and endpoint, and answers all else with `other`.
 */
function asterisk(lists: Lists, other: Answer = refusal("Permission denied")) {
  const asked: string[] = [];
  const ask = (action: string, headers: Readonly<Record<string, string>> = {}) => {
    const name = [action, headers["Endpoint"]].filter(Boolean).join(" ");
    asked.push(name);
    const entries = lists[name]?.map((entry) => new Map(Object.entries(entry)));
    return Promise.resolve<Answer>(
      entries === undefined ? other : { outcome: "success", entries },
    );
  };
  return { ask, asked };
}

const refusal = (message: string): Answer => ({ outcome: "refused", message });
const addressesOf = async (ask: AskForList) => [...(await registeredAddresses(ask)).addresses];

const peer = (fields: Record<string, string>) => ({
  Event: "PeerEntry",
  Dynamic: "yes",
  Forcerport: "yes",
  ...fields,
});
const contact = (Endpoint: string, Uri: string, ExpirationTime = "1795336477") => ({
  Event: "ContactList",
  Endpoint,
  Uri,
  ExpirationTime,
});
const detail = (RewriteContact: string) => [{ Event: "EndpointDetail", RewriteContact }];

Deno.test("contacts: of chan_sip only the addresses that it has seen", async () => {
  const { ask } = asterisk({
    SIPpeers: [
      peer({ IPaddress: "198.51.100.1" }),
      peer({ IPaddress: "198.51.100.2", Forcerport: "no" }),
      peer({ IPaddress: "198.51.100.3", Dynamic: "no" }),
      peer({ IPaddress: "-none-" }),
      peer({ IPaddress: "2001:DB8::1" }),
      peer({ IPaddress: "198.51.100.1" }),
    ],
  });
  assert.deepEqual(await addressesOf(ask), ["198.51.100.1", "2001:db8::1"]);
});

Deno.test("contacts: of PJSIP only those that registered, and that Asterisk has rewritten", async () => {
  const { ask, asked } = asterisk({
    PJSIPShowContacts: [
      contact("100", "sip:100@198.51.100.1:5060"),
      contact("100", "sips:100@[2001:db8::1]:5061;transport=tls"),
      contact("101", "sip:101@198.51.100.2"),
      contact("trunk", "sip:198.51.100.3", "0"),
      contact("102", "sip:102@phone.example.com"),
      contact("10\r\n3", "sip:103@198.51.100.4"),
      contact("104", "sip:104@198.51.100.5;x=@198.51.100.6"),
    ],
    "PJSIPShowEndpoint 100": detail("true"),
    "PJSIPShowEndpoint 101": detail("false"),
    "PJSIPShowEndpoint 104": [{ Event: "AorDetail", RewriteContact: "true" }],
  });
  assert.deepEqual(await addressesOf(ask), ["198.51.100.1", "2001:db8::1"]);
  const { addresses, unknown } = await registeredAddresses(ask, false);
  assert.equal(asked.pop(), "SIPpeers", "passwords stay where they are");
  assert.equal(addresses.size, 0);
  assert.match(unknown.join(), /SIPpeers.*write = reporting.*PJSIP.*same machine/);
  assert.deepEqual(asked.slice(2), [
    "PJSIPShowEndpoint 100",
    "PJSIPShowEndpoint 101",
    "PJSIPShowEndpoint 104",
  ]);
});

Deno.test("contacts: why it is not known who is registered is said for each driver", async () => {
  const unknown = async (lists: Lists, other?: Answer) =>
    (await registeredAddresses(asterisk(lists, other).ask)).unknown;
  assert.deepEqual(await unknown({}), [
    'the AMI user may not ask SIPpeers, which needs "write = reporting"',
    'the AMI user may not ask PJSIPShowContacts, which needs "write = system"',
  ]);
  assert.deepEqual(await unknown({ SIPpeers: [] }, { outcome: "none" }), [
    "Asterisk did not answer PJSIPShowContacts within 10 s",
  ]);
  // A driver that is not loaded, and one at which nobody is registered.
  for (const message of ["Invalid/unknown command: SIPpeers.", "No Contacts found"]) {
    assert.deepEqual(await unknown({}, refusal(message)), []);
  }
});

Deno.test("contacts: so many endpoints are asked for, and none after one without an answer", async () => {
  const contacts = Array.from(
    { length: ENDPOINTS_MAX + 1 },
    (_, i) => contact(`e${i}`, `sip:e@10.0.${i >> 8}.${i & 255}`),
  );
  const details = Object.fromEntries(
    contacts.map(({ Endpoint }) => [`PJSIPShowEndpoint ${Endpoint}`, detail("true")]),
  );
  const all = asterisk({ PJSIPShowContacts: contacts, ...details });
  assert.equal((await addressesOf(all.ask)).length, ENDPOINTS_MAX);
  const lost = asterisk({ PJSIPShowContacts: contacts, "PJSIPShowEndpoint e0": detail("true") });
  assert.equal((await addressesOf(lost.ask)).length, 1);
  assert.equal(lost.asked.at(-1), "PJSIPShowEndpoint e1");
});
