/**
 * How the PBXs of the tests are configured.
 *
 * @module
 */

import type { Files } from "./asterisk.ts";
import type { SipServer } from "./sip.ts";

/** The accounts, whose passwords are `pw` and the name. */
export const ACCOUNTS = ["100", "101", "102", "103", "104"] as const;

/** An account that may only be used in another network. */
export const FENCED = "110";

/** An account of which one phone at a time may be registered. */
export const SINGLE = "111";

/** The password of an account. */
export function passwordOf(account: string): string {
  return `pw${account}`;
}

/** A number that can be called. */
export const NUMBER = "600";

/** A channel driver of a PBX, as a phone sees it. */
export interface Driver extends SipServer {
  readonly name: "PJSIP" | "chan_sip";
}

/** The address at which phones find the PBX; each network of the tests can reach it. */
const HOST = "127.0.0.1";

export const PJSIP: Driver = { name: "PJSIP", host: HOST, port: 5060 };
export const CHAN_SIP: Driver = { name: "chan_sip", host: HOST, port: 5062 };

/** PJSIP over IPv6. */
export const PJSIP_IPV6: SipServer = { host: "::1", port: 5060 };

/** Lines of an account, for both drivers. */
const FENCE = "deny = 0.0.0.0/0.0.0.0\npermit = 10.0.0.0/255.0.0.0";

const PJSIP_CONF = `
[udp]
type = transport
protocol = udp
bind = 0.0.0.0:${PJSIP.port}

[tcp]
type = transport
protocol = tcp
bind = 0.0.0.0:${PJSIP.port}

[udp6]
type = transport
protocol = udp
bind = [::]:${PJSIP.port}
${
  [...ACCOUNTS, FENCED, SINGLE].map((account) => `
[${account}]
type = endpoint
context = phones
disallow = all
allow = ulaw
auth = ${account}
aors = ${account}
${account === FENCED ? FENCE : ""}

[${account}]
type = auth
auth_type = userpass
username = ${account}
password = ${passwordOf(account)}

[${account}]
type = aor
max_contacts = ${account === SINGLE ? 1 : 10}
`).join("")
}`;

const EXTENSIONS_CONF = `
[phones]
exten => ${NUMBER},1,Hangup()
`;

/**
 * sip.conf.
 *
 * @param general lines for its section [general]
 */
export function sipConf(general = ""): string {
  const accounts = [...ACCOUNTS, FENCED].map((account) => `
[${account}]
type = friend
host = dynamic
context = phones
secret = ${passwordOf(account)}
${account === FENCED ? FENCE : ""}
`);
  return `[general]\nudpbindaddr = 0.0.0.0:${CHAN_SIP.port}\ncontext = phones\n${general}\n${
    accounts.join("")
  }`;
}

/**
 * The configuration of a PBX.
 *
 * @param manager manager.conf
 */
export function pbx(manager: string): Files {
  return {
    "manager.conf": manager,
    "pjsip.conf": PJSIP_CONF,
    "extensions.conf": EXTENSIONS_CONF,
    "sip.conf": sipConf(),
  };
}
