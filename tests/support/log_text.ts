/** Lines of Asterisk's log, as it prints them in each form and for each kind of refusal. */

/** Which file of Asterisk's says something, and what. */
export interface Said {
  readonly level?: string;
  readonly thread?: string;
  readonly file: string;
  readonly place?: string;
  readonly message: string;
}

/** `[2026-11-22 08:09:09] NOTICE[1234] manager.c: …`, as in a file. */
export function fileLine({ level = "NOTICE", thread = "1234", file, message }: Said, date = DATE) {
  return `[${date}] ${level}[${thread}] ${file}: ${message}\n`;
}

/** The date of the lines. */
const DATE = "2026-11-22 08:09:09";

/** What a stranger can write into a line. */
export interface Texts {
  readonly account?: string;
  readonly session?: string;
  readonly extension?: string;
  readonly header?: string;
}

/** A kind of line, with everything in it that a stranger writes. */
export interface LineKind {
  readonly name: string;
  /** Kind and service of the event, and how it is told. */
  readonly tells: string;
  /** Bytes that a stranger has for a text with line ends; 0: Asterisk prints none of theirs. */
  readonly room: number;
  print(address: string, texts?: Texts): Said;
}

const withPort = (address: string) =>
  address.includes(":") ? `[${address}]:5061` : `${address}:5061`;

const registration = (reason: string, tells: string): LineKind => ({
  name: `Registration - ${reason}`,
  tells,
  room: 0,
  print: (address, { header = '"Desk" <sip:100@pbx.example>' } = {}) => ({
    file: "chan_sip.c",
    message: `Registration from '${header}' failed for '${withPort(address)}' - ${reason}`,
  }),
});

const request = (reason: string, tells: string): LineKind => ({
  name: `Request - ${reason}`,
  tells,
  room: 0,
  print: (address, { header = "<sip:100@pbx.example>", session = "4711@phone" } = {}) => ({
    file: "res_pjsip/pjsip_distributor.c",
    message: `Request 'REGISTER' from '${header}' failed for '${
      withPort(address)
    }' (callid: ${session}) - ${reason}`,
  }),
});

const manager = (text: string, tells: string): LineKind => ({
  name: `manager ${text}`,
  tells,
  room: 0,
  print: (address, { account = "admin" } = {}) => ({
    file: "manager.c",
    message: `${address} ${text} '${account}'`,
  }),
});

/** All kinds of lines that name somebody. */
export const LINE_KINDS: readonly LineKind[] = [
  registration("Wrong password", "InvalidPassword SIP notice"),
  registration("Username/auth name mismatch", "ChallengeResponseFailed SIP notice"),
  registration("No matching peer found", "InvalidAccountID SIP notice"),
  registration("Not a local domain", "FailedACL SIP notice"),
  registration("Peer is not supposed to register", "FailedACL SIP notice"),
  registration("Device does not match ACL", "FailedACL SIP notice"),
  registration("ACL error (permit/deny)", "FailedACL SIP notice"),
  registration(
    "Device not configured to use this transport type",
    "InvalidTransport SIP notice",
  ),
  {
    name: "chan_sip call",
    tells: "FailedACL SIP notice",
    room: 250,
    print: (address, { account = "", extension = "00972595550100" } = {}) => ({
      file: "chan_sip.c",
      message: `Call from '${account}' (${
        withPort(address)
      }) to extension '${extension}' rejected because extension not found in context 'default'.`,
    }),
  },
  {
    name: "PJSIP call",
    tells: "FailedACL PJSIP log only",
    room: 79,
    print: (address, { extension = "00972595550100" } = {}) => ({
      file: "res_pjsip_session.c",
      message: ` anonymous: Call (UDP:${
        withPort(address)
      }) to extension '${extension}' rejected because extension not found in context 'public'.`,
    }),
  },
  {
    name: "PJSIP call, Asterisk 13",
    tells: "FailedACL PJSIP log only",
    room: 79,
    print: (address, { extension = "00972595550100" } = {}) => ({
      file: "res_pjsip_session.c",
      message: `Call from 'anonymous' (TLS:${
        withPort(address)
      }) to extension '${extension}' rejected because extension not found in context 'public'.`,
    }),
  },
  {
    name: "PJSIP request, Asterisk 16.0",
    tells: "ChallengeResponseFailed PJSIP notice",
    room: 79,
    print: (address, { account = "100", session = "4711@phone" } = {}) => ({
      file: "res_pjsip/pjsip_distributor.c",
      message: `Request 'REGISTER' from '<sip:${account}@pbx>' failed for '${address}:5062' ` +
        `(callid: ${session}) - Failed to authenticate`,
    }),
  },
  {
    name: "PJSIP call, Asterisk 16.0",
    tells: "FailedACL PJSIP log only",
    room: 79,
    print: (address, { extension = "00972595550100" } = {}) => ({
      file: "res_pjsip_session.c",
      message: `Call from 'anonymous' (UDP:${address}:5062) to extension '${extension}' ` +
        "rejected because extension not found in context 'public'.",
    }),
  },
  request("No matching endpoint found", "InvalidAccountID PJSIP notice"),
  request("No matching endpoint found after 5 tries in 2.500 ms", "InvalidAccountID PJSIP notice"),
  request("Failed to authenticate", "ChallengeResponseFailed PJSIP notice"),
  request("Error to authenticate", "ChallengeResponseFailed PJSIP notice"),
  request("Not match Endpoint ACL", "FailedACL PJSIP notice"),
  request("Not match Endpoint Contact ACL", "FailedACL PJSIP notice"),
  manager("failed to authenticate as", "InvalidPassword AMI notice"),
  manager("tried to authenticate with nonexistent user", "InvalidAccountID AMI notice"),
  manager("failed to pass IP ACL as", "FailedACL AMI notice"),
  {
    name: "acl.c",
    tells: "FailedACL SIP aside",
    room: 0,
    print: (address) => ({
      file: "acl.c",
      message: `SIP Peer ACL: Rejecting '${address}' due to a failure to pass ACL '(BASELINE)'`,
    }),
  },
  {
    name: "PJSIP's own ACL",
    tells: "FailedACL PJSIP log only",
    room: 0,
    print: (address) => ({
      level: "WARNING",
      file: "res_pjsip_acl.c",
      message: `Incoming SIP message from ${withPort(address)} did not pass ACL test`,
    }),
  },
  {
    name: "IAX2, no such peer",
    tells: "InvalidAccountID IAX2 log only",
    room: 250,
    print: (address, { account = "trunk" } = {}) => ({
      file: "chan_iax2.c",
      message: `No registration for peer '${account}' (from ${address})`,
    }),
  },
  {
    name: "IAX2, wrong answer",
    tells: "InvalidPassword IAX2 log only",
    room: 250,
    print: (address, { session = "0123456789abcdef" } = {}) => ({
      file: "chan_iax2.c",
      message: `Host ${address} failed MD5 authentication for 'trunk' (fedcba98 != ${session})`,
    }),
  },
  {
    name: "IAX2, wrong password",
    tells: "InvalidPassword IAX2 log only",
    room: 0,
    print: (address) => ({
      file: "chan_iax2.c",
      message: `Host ${address} failed to authenticate as trunk`,
    }),
  },
  {
    name: "IAX2, ACL",
    tells: "FailedACL IAX2 log only",
    room: 0,
    print: (address) => ({
      file: "chan_iax2.c",
      message: `Host ${address} denied access to register peer 'trunk'`,
    }),
  },
  {
    name: "IAX2, call",
    tells: "FailedACL IAX2 log only",
    room: 79,
    print: (address, { extension = "600" } = {}) => ({
      file: "chan_iax2.c",
      message: `Rejected connect attempt from ${
        withPort(address)
      }, request '${extension}@default' does not exist`,
    }),
  },
  {
    name: "IAX2, empty",
    tells: "InvalidAccountID IAX2 log only",
    room: 0,
    print: (address) => ({ file: "chan_iax2.c", message: `Empty registration from ${address}` }),
  },
  {
    name: "dialplan",
    tells: "FailedACL SIP log only",
    room: 0,
    print: (address) => ({
      level: "WARNING",
      file: "Ext. s",
      message: `"Rejecting unknown SIP connection from ${address}"`,
    }),
  },
  {
    name: "chan_sip, attack",
    tells: "FailedACL SIP log only",
    room: 0,
    print: (address) => ({ file: "chan_sip.c", message: `hacking attempt detected '${address}'` }),
  },
];

/** A security event as an element of a line, for each form of its beginning. */
export function securityMessage(
  address: string,
  { account = "100", time = "2026-11-22T08:09:09.918+0000", session = "4711@phone" } = {},
): string {
  return `SecurityEvent="ChallengeResponseFailed",EventTV="${time}",Severity="Error",` +
    `Service="PJSIP",EventVersion="1",AccountID="${account}",SessionID="${session}",` +
    `LocalAddress="IPV4/UDP/192.0.2.10/5060",RemoteAddress="IPV4/UDP/${address}/5061",` +
    `Challenge="1795336477/0123456789abcdef0123456789abcdef",` +
    `Response="0123456789abcdef0123456789abcdef",ExpectedResponse=""`;
}

/** Three wrong passwords of one host in the security log, without line ends. */
export function threeGuesses(address: string, print: (said: Said) => string): string[] {
  return [1, 2, 3].map((call) =>
    print({
      level: "SECURITY",
      file: "res_security_log.c",
      message: securityMessage(address, { session: `${call}` }).replace(
        /Response="0/,
        `Response="${call}`,
      ),
    })
  );
}

const E = "\x1b";

/** Every form of a line, given its level, file, and message. */
export const FORMS: Readonly<Record<string, (said: Said) => string>> = {
  default: (said) => fileLine(said).trimEnd(),
  "short date": (said) => fileLine(said, "Nov 22 08:09:09").trimEnd(),
  plain: (said) => `[${DATE}] ${core(said, " f: ")}`,
  "with a call": (said) => `[${DATE}] ${core(said, " f: ").replace(/\]: /, "][C-0000002a]: ")}`,
  "console, coloured": ({ level = "NOTICE", file, message }) =>
    `[Nov 22 08:09:09] ${E}[1;33m${level}${E}[0m[1234]: ${E}[1;37m${file}${E}[0m:${E}[1;37m114` +
    `${E}[0m ${E}[1;37mf${E}[0m: ${message}`,
  "rsyslog with colours": ({ level = "NOTICE", file, message }) =>
    `Nov 22 08:09:09 pbx asterisk[99]: [Nov 22 08:09:09] #033[1;33m${level}#033[0m[1234]: ` +
    `#033[1;37m${file}#033[0m:#033[1;37m114#033[0m #033[1;37mf#033[0m: ${message}`,
  "RFC 3164": (said) => `Nov 22 08:09:09 pbx asterisk[99]: ${core(said, " in f: ")}`,
  "RFC 3164 with a priority": (said) =>
    `<134>Nov  2 08:09:09 pbx asterisk[99]: ${core(said, " in f: ")}`,
  "rsyslog's ISO date": (said) =>
    `2026-11-22T08:09:09.918273+00:00 pbx asterisk[99]: ${core(said, " in f: ")}`,
  "RFC 5424": (said) =>
    `<134>1 2026-11-22T08:09:09.918Z pbx asterisk 99 - - ${core(said, " in f: ")}`,
  "journalctl -o cat": (said) => core(said, " in f: "),
  "journalctl -o short-iso": (said) =>
    `2026-11-22T08:09:09+0000 pbx asterisk[99]: [${DATE}] ${core(said, " f: ")}`,
  "journalctl -o short-precise": (said) =>
    `Nov 22 08:09:09.918273 pbx asterisk[99]: ${core(said, " in f: ")}`,
  "journalctl -o json": (said) =>
    JSON.stringify({
      __REALTIME_TIMESTAMP: "1795334949918273",
      SYSLOG_IDENTIFIER: "asterisk",
      MESSAGE: core(said, " in f: "),
    }),
  "journalctl -o json, coloured": ({ level = "NOTICE", file, message }) =>
    JSON.stringify({
      MESSAGE: [
        ...new TextEncoder().encode(
          `[${DATE}] ${E}[1;33m${level}${E}[0m[1]: ${file}:1 f: ${message}`,
        ),
      ],
    }),
  "docker logs -t": (said) => `2026-11-22T08:09:09.918273645Z [${DATE}] ${core(said, " f: ")}`,
  "docker compose logs": (said) => `asterisk-1  | [${DATE}] ${core(said, " f: ")}`,
  "Docker's file": (said) =>
    JSON.stringify({
      log: `[Nov 22 08:09:09] ${core(said, " f: ")}\r\n`,
      stream: "stdout",
      time: "2026-11-22T08:09:09.918273645Z",
    }),
  "Kubernetes": (said) => `2026-11-22T08:09:09.918273645Z stdout F [${DATE}] ${core(said, " f: ")}`,
  "docker service logs": (said) =>
    `pbx_asterisk.1.k2j3h4k5j6h7@node1    | [${DATE}] ${core(said, " f: ")}`,
  "kubectl logs --prefix": (said) =>
    `[pod/asterisk-0/asterisk] 2026-11-22T08:09:09.918Z [${DATE}] ${core(said, " f: ")}`,
  "BusyBox's syslogd": (said) =>
    `Nov 22 08:09:09 pbx local0.notice asterisk[99]: ${core(said, " in f: ")}`,
  "a BSD's syslogd": (said) =>
    `Nov 22 08:09:09 <local0.notice> pbx asterisk[99]: ${core(said, " in f: ")}`,
  "syslog's socket": (said) => `<134>Nov 22 08:09:09 asterisk[99]: ${core(said, " in f: ")}`,
  "grep -H": (said) => `/var/log/asterisk/messages:${fileLine(said).trimEnd()}`,
  "grep -Hn in a folder": (said) => `messages.1:17:${fileLine(said).trimEnd()}`,
  "grep -n": (said) => `1234:${fileLine(said).trimEnd()}`,
  json: ({ level = "NOTICE", file, message }) =>
    JSON.stringify({
      hostname: "pbx",
      timestamp: DATE,
      identifiers: { lwp: 1234, callid: "" },
      logmsg: { location: { filename: file, function: "f", line: 114 }, level, message },
    }),
};

function core({ level = "NOTICE", file, message }: Said, place: string): string {
  return `${level}[1234]: ${file}:114${place}${message}`;
}
