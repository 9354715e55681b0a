/** Prints security events as Asterisk does (main/security_events.c): nothing is escaped. */

export interface EventFields {
  kind: string;
  service: "AMI" | "IAX2" | "PJSIP" | "SIP";
  account?: string;
  session?: string;
  local?: string;
  remote: string;
  /** Header lines behind RemoteAddress. */
  tail?: readonly (readonly [string, string])[];
  time?: string;
  severity?: string;
  version?: number;
  /** Header lines between Privilege and EventTV. */
  general?: readonly (readonly [string, string])[];
}

export const BANNER = "Asterisk Call Manager/7.0.3\r\n";

export function printEvent(event: EventFields): string {
  const informational = event.kind === "ChallengeSent" || event.kind === "SuccessfulAuth";
  const lines: (readonly [string, string])[] = [
    ["Event", event.kind],
    ["Privilege", "security,all"],
    ...(event.general ?? []),
    ["EventTV", event.time ?? "2026-11-22T08:09:09.918+0000"],
    ["Severity", event.severity ?? (informational ? "Informational" : "Error")],
    ["Service", event.service],
    ["EventVersion", String(event.version ?? (event.kind === "InvalidPassword" ? 2 : 1))],
    ["AccountID", event.account ?? "100"],
    ["SessionID", event.session ?? "0x7f1904001680"],
    ["LocalAddress", event.local ?? "IPV4/UDP/192.0.2.10/5060"],
    ["RemoteAddress", event.remote],
    ...(event.tail ?? []),
  ];
  return lines.map(([name, value]) => `${name}: ${value}\r\n`).join("") + "\r\n";
}

let serial = 0;

/** A value that no other event of the test has. */
export function unique(): string {
  return (++serial).toString(16).padStart(8, "0");
}

export function challengeSent(address: string, fields: Partial<EventFields> = {}): string {
  const service = fields.service ?? "PJSIP";
  return printEvent({
    kind: "ChallengeSent",
    service,
    remote: remoteOf(address),
    session: service === "PJSIP" ? `call-${unique()}` : `0x7f19${unique()}`,
    tail: [["Challenge", service === "PJSIP" ? "" : unique()]],
    ...fields,
  });
}

export function wrongAnswer(address: string, fields: Partial<EventFields> = {}): string {
  const service = fields.service ?? "PJSIP";
  const challenge = unique();
  return printEvent({
    kind: service === "PJSIP" ? "ChallengeResponseFailed" : "InvalidPassword",
    service,
    remote: remoteOf(address),
    session: service === "PJSIP" ? `call-${unique()}` : `0x7f19${unique()}`,
    tail: service === "PJSIP"
      ? [["Challenge", `1795335836/${challenge}`], ["Response", unique().repeat(4)], [
        "ExpectedResponse",
        "",
      ]]
      : [["Challenge", challenge], ["ReceivedChallenge", challenge], [
        "ReceivedHash",
        unique().repeat(4),
      ]],
    ...fields,
  });
}

export function successfulAuth(address: string, fields: Partial<EventFields> = {}): string {
  return printEvent({
    kind: "SuccessfulAuth",
    service: "PJSIP",
    remote: remoteOf(address),
    session: `call-${unique()}`,
    tail: [["UsingPassword", "1"]],
    ...fields,
  });
}

export function failedAcl(
  address: string,
  aclName: string,
  fields: Partial<EventFields> = {},
): string {
  return printEvent({
    kind: "FailedACL",
    service: "PJSIP",
    remote: remoteOf(address),
    session: `call-${unique()}`,
    tail: [["ACLName", aclName]],
    ...fields,
  });
}

export function remoteOf(address: string, transport = "UDP", port = 5060): string {
  return `IPV${address.includes(":") ? 6 : 4}/${transport}/${address}/${port}`;
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A report of the dialplan, as Asterisk 16 and 22 print it; recorded, with other names. */
export function userEvent(
  {
    number = "nobody",
    exten = "700",
    name = "Ampere",
    body = ["Address: 203.0.113.5:5060", "Reason: anonymous call"],
    channel = true,
    general = [] as string[],
    more = [] as string[],
  } = {},
): string {
  return [
    "Event: UserEvent",
    "Privilege: user,all",
    ...general,
    ...(channel
      ? [
        "Channel: PJSIP/anonymous-00000000",
        "ChannelState: 4",
        "ChannelStateDesc: Ring",
        `CallerIDNum: ${number}`,
        "CallerIDName: <unknown>",
        "ConnectedLineNum: <unknown>",
        "ConnectedLineName: <unknown>",
        "Language: en",
        "AccountCode: ",
        "Context: from-anonymous",
        `Exten: ${exten}`,
        "Priority: 1",
        "Uniqueid: 1796062158.0",
        "Linkedid: pbx-1-1796062158.0",
      ]
      : []),
    ...more,
    `UserEvent: ${name}`,
    ...body,
    "",
    "",
  ].join("\r\n");
}
