/** What a TLS error means; tests/ami/transport_test.ts and tests/live have the runtime's own. */

import assert from "node:assert/strict";
import { tlsFault } from "../src/tls_fault.ts";

const WANTED = {
  name: "pbx.example.org",
  caKey: "tls_ca",
  caFile: undefined,
  otherName: "OTHER NAME",
  plain: "PLAIN",
} as const;

Deno.test("tls fault: each cause has its words and its advice", () => {
  const certificate = "invalid peer certificate: ";
  const table: [message: string, why: RegExp, advice: RegExp][] = [
    [`${certificate}UnknownIssuer`, /does not know$/, /^tls_ca = FILE/],
    [`${certificate}BadSignature`, /does not know$/, /^tls_ca = FILE/],
    [`${certificate}Expired`, /has expired$/, /^renew it/],
    [`${certificate}certificate expired: verification time 2 (UNIX)`, /has expired$/, /^renew/],
    [`${certificate}NotValidYet`, /not valid yet$/, /timedatectl/],
    [`${certificate}Other(OtherError(CaUsedAsEndEntity))`, /CA:TRUE/, /CA:FALSE/],
    [
      `${certificate}certificate not valid for name "pbx.example.org"; certificate is only valid ` +
      'for DnsName("a.example.net") or IpAddress(192.0.2.5)',
      /^its certificate is not for "pbx\.example\.org" but for a\.example\.net, 192\.0\.2\.5$/,
      /^OTHER NAME$/,
    ],
    [
      `${certificate}certificate not valid for name "pbx.example.org"; certificate is not valid ` +
      "for any names (according to its subjectAltName extension)",
      /no subjectAltName/,
      /subjectAltName=/,
    ],
    [`${certificate}NotValidForName`, /is not for "pbx\.example\.org"$/, /subjectAltName=/],
    [`${certificate}UnsupportedCertVersion`, /not accepted \(Uns/, /^give the server another/],
    ["received corrupt message of type InvalidContentType", /plain text/, /^PLAIN$/],
    ["received fatal alert: HandshakeFailure", /in common \(HandshakeFailure\)/, /TLS 1\.2/],
    ["peer is incompatible: ServerDoesNotSupportTls12Or13", /in common \(Server/, /TLS 1\.2/],
    ["tls handshake eof", /in the middle of the TLS handshake/, /server's log/],
  ];
  for (const [message, why, advice] of table) {
    for (const text of [message, `error sending request: client error (Connect): ${message}`]) {
      const fault = tlsFault(new Error(text), WANTED);
      assert.match(fault!.why, why, message);
      assert.match(fault!.advice, advice, message);
    }
  }
  const named = { ...WANTED, caFile: "/etc/ampere/ca.pem" };
  const fault = tlsFault(new Error(`${certificate}UnknownIssuer`), named);
  assert.match(fault!.why, /not signed by an authority in \/etc\/ampere\/ca\.pem/);
});

Deno.test("tls fault: names that a stranger has written are escaped and cut", () => {
  const names = `DnsName("\u001b[2Jx\n${"y".repeat(500)}")`;
  const message = `invalid peer certificate: certificate not valid for name "a"; certificate is ` +
    `only valid for ${names}`;
  const { why } = tlsFault(new Error(message), WANTED)!;
  assert.doesNotMatch(why, /[^ -~…]/);
  assert.ok(why.length < 300, why);
});

Deno.test("tls fault: what is no matter of TLS is none", () => {
  for (const error of [new Error("connection refused"), new Error(""), "text", undefined]) {
    assert.equal(tlsFault(error, WANTED), undefined);
  }
});
