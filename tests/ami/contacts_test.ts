import assert from "node:assert/strict";
import { type Asker, ENDPOINTS_MAX, registeredAddresses } from "../../src/ami/contacts.ts";
import type { Answer } from "../../src/ami/client.ts";

type Lists = Readonly<Record<string, readonly Readonly<Record<string, string>>[] | undefined>>;

/**
 * An Asterisk that knows these lists, by action and endpoint, and these variables, and answers all
 * else with `other`.
 */
function asterisk(
  lists: Lists,
  variables: Readonly<Record<string, string>> = {},
  other: Answer = refusal("Permission denied"),
) {
  const asked: string[] = [];
  const asker: Asker = {
    list: (action, headers = {}) => {
      const name = [action, headers["Endpoint"]].filter(Boolean).join(" ");
      asked.push(name);
      const entries = lists[name]?.map((entry) => new Map(Object.entries(entry)));
      return Promise.resolve<Answer>(
        entries === undefined ? other : { outcome: "success", entries },
      );
    },
    query: (action, headers = {}) => {
      assert.equal(action, "Getvar");
      const name = headers["Variable"]!;
      asked.push(name);
      const entry = new Map([["Variable", name], ["Value", variables[name] ?? ""]]);
      return Promise.resolve<Answer>({ outcome: "success", entries: [entry] });
    },
  };
  return { asker, asked };
}

const refusal = (message: string): Answer => ({ outcome: "refused", message });
const addressesOf = async (asker: Asker) => [...(await registeredAddresses(asker)).addresses];

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
const device = (Device: string, State = "NOT_INUSE") => ({
  Event: "DeviceStateChange",
  Device,
  State,
});
/** The name that Asterisk gives to a registered contact. */
const idOf = (aor: string, n: number) => `${aor};@${n.toString(16).padStart(32, "0")}`;

Deno.test("contacts: of chan_sip only the addresses that it has seen", async () => {
  const { asker } = asterisk({
    SIPpeers: [
      peer({ IPaddress: "198.51.100.1" }),
      peer({ IPaddress: "198.51.100.2", Forcerport: "no" }),
      peer({ IPaddress: "198.51.100.3", Dynamic: "no" }),
      peer({ IPaddress: "-none-" }),
      peer({ IPaddress: "2001:DB8::1" }),
      peer({ IPaddress: "198.51.100.1" }),
    ],
  });
  assert.deepEqual(await addressesOf(asker), ["198.51.100.1", "2001:db8::1"]);
});

Deno.test("contacts: with reporting alone PJSIP is asked by variables, and no password is named", async () => {
  const { asker, asked } = asterisk({
    SIPpeers: [],
    DeviceStateList: [
      device("PJSIP/100"),
      device("PJSIP/101"),
      device("PJSIP/102", "UNAVAILABLE"),
      device("PJSIP/103"),
      device("SIP/104"),
      device("MWI:1234@default"),
      // Nothing that would be more than a name gets into a function.
      device("PJSIP/x)${SHELL(id)}"),
      device("PJSIP/a,b"),
      device("PJSIP/"),
    ],
  }, {
    "PJSIP_ENDPOINT(100,rewrite_contact)": "true",
    "PJSIP_ENDPOINT(100,aors)": "100,desk,b)ad",
    "PJSIP_AOR(100,contact)": `${idOf("100", 1)},100@@${"0".repeat(32)},${idOf("100", 2)},x`,
    "PJSIP_AOR(desk,contact)": idOf("desk", 3),
    [`PJSIP_CONTACT(${idOf("100", 1)},uri)`]:
      "sip:100@198.51.100.1:5060;x-ast-orig-host=192.168.7.7:5060",
    [`PJSIP_CONTACT(${idOf("100", 2)},uri)`]: "sips:100@[2001:db8::1]:5061;transport=tls",
    [`PJSIP_CONTACT(${idOf("desk", 3)},uri)`]: "sip:100@phone.example.com",
    "PJSIP_ENDPOINT(101,rewrite_contact)": "false",
    "PJSIP_ENDPOINT(103,rewrite_contact)": "yes",
  });
  const { addresses, unknown } = await registeredAddresses(asker, false);
  assert.deepEqual([...addresses], ["198.51.100.1", "2001:db8::1"]);
  assert.deepEqual(unknown, []);
  assert.deepEqual(asked, [
    "SIPpeers",
    "DeviceStateList",
    "PJSIP_ENDPOINT(100,rewrite_contact)",
    "PJSIP_ENDPOINT(100,aors)",
    "PJSIP_AOR(100,contact)",
    `PJSIP_CONTACT(${idOf("100", 1)},uri)`,
    `PJSIP_CONTACT(${idOf("100", 2)},uri)`,
    "PJSIP_AOR(desk,contact)",
    `PJSIP_CONTACT(${idOf("desk", 3)},uri)`,
    "PJSIP_ENDPOINT(101,rewrite_contact)",
    "PJSIP_ENDPOINT(103,rewrite_contact)",
    "PJSIP_ENDPOINT(103,aors)",
  ]);
});

Deno.test("contacts: what a phone has written into its contact names nobody else", async () => {
  const uris = [
    "sip:100@192.168.7.7",
    "sip:203.0.113.9@198.51.100.1:5060;x=sip:a@203.0.113.9",
    "sip:100@198.51.100.2;x-ast-orig-host=203.0.113.9:5060",
    "sip:100@203.0.113.9@198.51.100.3",
    "sip:198.51.100.4 203.0.113.9",
    "tel:203.0.113.9",
    '"203.0.113.9" <sip:100@198.51.100.5>',
    "sip:100@203.0.113.999",
    "sip:100@203.0.113.9.example",
  ];
  const ids = uris.map((_, i) => idOf("100", i));
  const { asker } = asterisk({ DeviceStateList: [device("PJSIP/100")] }, {
    "PJSIP_ENDPOINT(100,rewrite_contact)": "true",
    "PJSIP_ENDPOINT(100,aors)": "100",
    "PJSIP_AOR(100,contact)": ids.join(","),
    ...Object.fromEntries(uris.map((uri, i) => [`PJSIP_CONTACT(${ids[i]},uri)`, uri])),
  });
  assert.deepEqual(await addressesOf(asker), ["192.168.7.7", "198.51.100.1", "198.51.100.2"]);
});

Deno.test("contacts: an answer about another variable is none", async () => {
  const { asker } = asterisk({ DeviceStateList: [device("PJSIP/100")] });
  const query: Asker["query"] = () => {
    const entry = new Map([["Variable", "PJSIP_ENDPOINT(99,rewrite_contact)"], ["Value", "true"]]);
    return Promise.resolve({ outcome: "success", entries: [entry] });
  };
  assert.deepEqual(await addressesOf({ ...asker, query }), []);
});

Deno.test("contacts: with system alone PJSIP is asked by its lists, on this machine", async () => {
  const { asker, asked } = asterisk({
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
  assert.deepEqual(await addressesOf(asker), ["198.51.100.1", "2001:db8::1"]);
  const { addresses, unknown } = await registeredAddresses(asker, false);
  assert.equal(asked.pop(), "DeviceStateList", "passwords stay where they are");
  assert.equal(addresses.size, 0);
  assert.match(unknown.join(), /chan_sip, which needs "write = reporting".*PJSIP, which needs/);
  assert.deepEqual(asked.slice(3, -1), [
    "PJSIPShowEndpoint 100",
    "PJSIPShowEndpoint 101",
    "PJSIPShowEndpoint 104",
  ]);
});

Deno.test("contacts: why it is not known who is registered is said for each driver", async () => {
  const unknown = async (lists: Lists, other?: Answer) =>
    (await registeredAddresses(asterisk(lists, {}, other).asker)).unknown;
  assert.deepEqual(await unknown({}), [
    'the AMI user may not ask who is registered at chan_sip, which needs "write = reporting"',
    'the AMI user may not ask who is registered at PJSIP, which needs "write = reporting"',
  ]);
  assert.deepEqual(await unknown({ SIPpeers: [] }, { outcome: "none" }), [
    "Asterisk did not answer DeviceStateList within 10 s",
  ]);
  // A driver that is not loaded, and one at which nobody is registered.
  for (const message of ["Invalid/unknown command: SIPpeers.", "No Contacts found"]) {
    assert.deepEqual(await unknown({}, refusal(message)), []);
  }
});

Deno.test("contacts: so many endpoints are asked for, and none after one without an answer", async () => {
  const names = Array.from({ length: ENDPOINTS_MAX + 1 }, (_, i) => `e${i}`);
  const variables = Object.fromEntries(names.flatMap((name, i) => [
    [`PJSIP_ENDPOINT(${name},rewrite_contact)`, "true"],
    [`PJSIP_ENDPOINT(${name},aors)`, name],
    [`PJSIP_AOR(${name},contact)`, idOf(name, i)],
    [`PJSIP_CONTACT(${idOf(name, i)},uri)`, `sip:e@10.0.${i >> 8}.${i & 255}`],
  ]));
  const lists = { DeviceStateList: names.map((name) => device(`PJSIP/${name}`)) };
  const all = asterisk(lists, variables);
  assert.equal((await addressesOf(all.asker)).length, ENDPOINTS_MAX);
  const lost = asterisk(lists, variables);
  let queries = 0;
  const query: Asker["query"] = (action, headers) =>
    ++queries > 6 ? Promise.resolve({ outcome: "none" }) : lost.asker.query(action, headers);
  assert.equal((await addressesOf({ ...lost.asker, query })).length, 1);
  assert.equal(queries, 7);
});

Deno.test("contacts: by its lists, so many endpoints of PJSIP, and none after one without an answer", async () => {
  const contacts = Array.from(
    { length: ENDPOINTS_MAX + 1 },
    (_, i) => contact(`e${i}`, `sip:e@10.0.${i >> 8}.${i & 255}`),
  );
  const details = Object.fromEntries(
    contacts.map(({ Endpoint }) => [`PJSIPShowEndpoint ${Endpoint}`, detail("true")]),
  );
  const all = asterisk({ PJSIPShowContacts: contacts, ...details });
  assert.equal((await addressesOf(all.asker)).length, ENDPOINTS_MAX);
  const lost = asterisk({ PJSIPShowContacts: contacts, "PJSIPShowEndpoint e0": detail("true") });
  assert.equal((await addressesOf(lost.asker)).length, 1);
  assert.equal(lost.asked.at(-1), "PJSIPShowEndpoint e1");
});
