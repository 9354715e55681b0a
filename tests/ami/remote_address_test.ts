/** RemoteAddress, byte by byte. */

import assert from "node:assert/strict";
import { parseAddress } from "../../src/address/address.ts";
import { challengeSent, wrongAnswer } from "../support/asterisk_events.ts";
import { parse } from "../support/parsing.ts";

Deno.test("remote address: byte by byte", () => {
  const pattern = /^IPV4\/(?:(?:UDP|TCP|TLS|WSS?)\/)?(?<address>[\d.]+)\/(?<port>\d{1,5})$/;
  const seen = { good: 0, bad: 0 };
  for (
    const remote of ["IPV4/UDP/203.0.113.5/37275", "IPV4/WS/10.20.30.255/7", "IPV4/9.9.9.9/65535"]
  ) {
    const text = wrongAnswer("203.0.113.5", { remote });
    const at = text.indexOf(remote);
    for (let place = 0; place < remote.length; place++) {
      for (let byte = 0; byte < 256; byte++) {
        const changed = remote.slice(0, place) + String.fromCharCode(byte) +
          remote.slice(place + 1);
        const { verdict, event } = parse(
          text.slice(0, at) + changed + text.slice(at + remote.length),
        );
        const { address = "", port = "" } = pattern.exec(changed)?.groups ?? {};
        const isGood = parseAddress(address) === address && Number(port) <= 65_535;
        assert.equal(verdict === "security", isGood, JSON.stringify(changed));
        if (isGood) assert.deepEqual([event.address, event.port], [address, Number(port)]);
        seen[isGood ? "good" : "bad"]++;
      }
    }
  }
  assert(seen.good > 200 && seen.bad > 10_000);
});

Deno.test("remote address: families and transports", () => {
  const good: Record<string, [string, string]> = {
    "IPV4/203.0.113.5/37275": ["203.0.113.5", ""],
    "IPV4/WSS/203.0.113.5/1": ["203.0.113.5", "WSS"],
    "IPV4/WS/0.0.0.0/0": ["0.0.0.0", "WS"],
    "IPV4/TCP/255.255.255.255/65535": ["255.255.255.255", "TCP"],
    "IPV6/TLS/2001:db8:bad::12/33347": ["2001:db8:bad::12", "TLS"],
    "IPV6/2001:db8:bad::ffff:c000:221/33347": ["2001:db8:bad::ffff:c000:221", ""],
    "IPV6/UDP/::ffff:203.0.113.5/5": ["203.0.113.5", "UDP"],
    "IPV6/UDP/fe80::1%eth0/5": ["fe80::1", "UDP"],
    "IPV6/UDP/FE80::1/5": ["fe80::1", "UDP"],
    "IPV6/WS/::1/5": ["::1", "WS"],
    "IPV6/WSS/::/5": ["::", "WSS"],
    "IPV6/TCP/1::/5": ["1::", "TCP"],
  };
  for (const [text, [address, transport]] of Object.entries(good)) {
    const { verdict, event } = parse(challengeSent("1.1.1.1", { remote: text }));
    assert.equal(verdict, "security", text);
    assert.equal(event.address, address);
    assert.equal(event.transport, transport);
  }
  const bad = [
    "",
    "IPV4",
    "IPV4/",
    "IPV4/UDP/203.0.113.5",
    "IPV4/UDP/203.0.113.5/",
    "IPV4/UDP/203.0.113.5/65536",
    "IPV4/UDP/203.0.113.5/123456",
    "IPV4/UDP/203.0.113.5/5x",
    "IPV4/UDP/203.0.113.256/5",
    "IPV4/UDP/203.0.113/5",
    "IPV4/UDP/203.0.113.5.6/5",
    "IPV4/UDP/203.0.113.05/5",
    "IPV4/UDP/203.0.113.5 /5",
    "IPV4/UDP/2001:db8::1/5",
    "IPV4/SCTP/203.0.113.5/5",
    "IPV4/UDP/TCP/203.0.113.5/5",
    "IPV6/UDP/203.0.113.5/5",
    "IPV6/UDP/2001:db8::1::2/5",
    "IPV6/UDP/[2001:db8::1]/5",
    "IPV6/UDP/2001:db8::1%eth0;reboot/5",
    "IPV5/UDP/203.0.113.5/5",
    "ipv4/UDP/203.0.113.5/5",
    " IPV4/UDP/203.0.113.5/5",
    "IPV4/UDP/$(reboot)/5",
  ];
  for (const text of bad) {
    assert.equal(parse(challengeSent("1.1.1.1", { remote: text })).verdict, "tampered", text);
  }
});
