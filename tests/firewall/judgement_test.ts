/** Whether blocks are in force, by the rules that there are. */

import assert from "node:assert/strict";
import {
  assumedPlace,
  type AsteriskPlace,
  HERE,
  placeOfAddress,
  placeOfHost,
  strangersTo,
} from "../../src/firewall/asterisk_place.ts";
import { judge, type Judgement } from "../../src/firewall/judgement.ts";
import { parseListing } from "../../src/firewall/path.ts";

const ETH0 = { name: "eth0", address: "203.0.113.1", network: "203.0.113.0/24" };
const DOCKER0 = { name: "docker0", address: "172.17.0.1", network: "172.17.0.0/16" };
const LO = { name: "lo", address: "127.0.0.1", network: "127.0.0.0/8" };
const WG0 = { name: "wg0", address: "10.9.0.1", network: "10.9.0.0/24" };
const INTERFACES = [LO, ETH0, DOCKER0];
const GATEWAY = "203.0.113.254";

const CONTAINER: AsteriskPlace = { kind: "behind", address: "172.17.0.2", interface: "docker0" };

function judged(listing: string, place: AsteriskPlace = HERE, interfaces = INTERFACES): Judgement {
  return judge(parseListing(listing), {
    family: 4,
    chain: "ampere",
    jump: [],
    place,
    strangers: strangersTo(place, interfaces),
  });
}

Deno.test("judgement: all packets, some, or none", () => {
  const jump = "-A INPUT -j ampere\n";
  for (
    const [listing, inForce, says] of [
      [jump, "yes", /INPUT asks ampere before/],
      ["", "no", /INPUT does not ask ampere/],
      ["-A FORWARD -j ampere\n", "no", /FORWARD asks ampere, but INPUT does not/],
      [`-A INPUT -j ACCEPT\n${jump}`, "no", /too late.*nobody is kept out/],
      [`-A INPUT -m state --state ESTABLISHED -j ACCEPT\n${jump}`, "partly", /UDP flow/],
      [`-A INPUT -p udp --dport 5060 -j RETURN\n${jump}`, "partly", /never compared/],
      [`-A INPUT -p tcp --dport 22 -j ACCEPT\n${jump}`, "yes", /before it lets/],
      ["-A INPUT -p udp -m udp --dport 5060 -j ampere\n", "partly", /TCP, TLS, WS and WSS/],
      ["-A INPUT -p tcp -m tcp --dport 5060 -j ampere\n", "partly", /by UDP/],
      ["-A INPUT -i eth9 -j ampere\n", "no", /no interface eth9/],
      ["-A INPUT -s 198.51.100.0/24 -j ampere\n", "partly", /from another address/],
    ] as const
  ) {
    const found = judged(listing);
    assert.equal(found.inForce, inForce, listing + found.message);
    assert.match(found.message, says);
    assert.equal(found.advice === "", inForce === "yes");
  }
  // What a comment says is no condition, and no excuse.
  const comment = '-m comment --comment "-s 10.0.0.1 -i eth9 --dport 22 -p icmp"';
  assert.equal(judged(`-A INPUT ${comment} -j ACCEPT\n${jump}`).inForce, "no");
  assert.equal(judged(`-A INPUT ${comment} -j ampere\n`).inForce, "yes");
  const early = `-A INPUT ${comment} -p udp -j ACCEPT\n${jump}`;
  assert.equal(judged(early).inForce, "partly");
  // Where there is one interface but for bridges to containers, all strangers come by it.
  assert.equal(judged("-A INPUT -i eth0 -j ampere\n").inForce, "yes");
  const byVpn = judged("-A INPUT -i eth0 -j ampere\n", HERE, [...INTERFACES, WG0]);
  assert.equal(byVpn.inForce, "partly");
  assert.match(byVpn.message, /by another interface/);
  assert.equal(judged("-A INPUT -i eth+ -j ampere\n", HERE, [LO, ETH0]).inForce, "yes");
});

Deno.test("judgement: to a container only FORWARD counts", () => {
  const user = "-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n";
  for (
    const [listing, inForce, advice] of [
      ["-A INPUT -j ampere\n", "no", /^iptables -I FORWARD -j ampere /],
      [`-A INPUT -j ampere\n${user}`, "no", /^iptables -I DOCKER-USER -j ampere /],
      [`${user}-A DOCKER-USER -j ampere\n-A DOCKER-USER -j RETURN\n`, "yes", /^$/],
      ["-A FORWARD -i eth0 -o docker0 -j ampere\n", "yes", /^$/],
      ["-A FORWARD -d 172.17.0.0/16 -j ampere\n", "yes", /^$/],
      ["-A FORWARD -d 172.17.0.9/32 -j ACCEPT\n-A FORWARD -j ampere\n", "yes", /^$/],
      ["-A FORWARD -o br-x -j ACCEPT\n-A FORWARD -j ampere\n", "yes", /^$/],
      ["-A FORWARD -d 172.17.0.9/32 -j ampere\n", "no", /^iptables -I FORWARD/],
      [
        "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -j ampere\n",
        "partly",
        /^iptables -D FORWARD -j ampere && iptables -I FORWARD -j ampere/,
      ],
      // What is for this machine itself does not come there.
      ["-A FORWARD -m addrtype --dst-type LOCAL -j ampere\n", "partly", /FORWARD/],
    ] as const
  ) {
    const found = judged(listing, CONTAINER);
    assert.equal(found.inForce, inForce, listing + found.message);
    assert.match(found.advice, advice);
  }
  const elsewhere = judged("-A INPUT -j ampere\n-A FORWARD -j ampere\n", {
    kind: "elsewhere",
    address: "198.51.100.7",
  });
  assert.equal(elsewhere.inForce, "no");
  assert.match(elsewhere.message, /198\.51\.100\.7.*protect nothing there/);
});

Deno.test("judgement: with a jump from FORWARD alone Asterisk is behind this machine", () => {
  const forwarded = assumedPlace(["DOCKER-USER"]);
  assert.deepEqual([forwarded, assumedPlace(["FORWARD"])], [{ kind: "forwarded" }, forwarded]);
  for (const jump of [[], ["INPUT"], ["INPUT", "FORWARD"], ["ufw-before-input"]]) {
    assert.equal(assumedPlace(jump).kind, "here", jump.join());
  }
  assert.equal(judged("-A FORWARD -j ampere\n", forwarded).inForce, "yes");
  const lost = judged("-A INPUT -j ampere\n", forwarded);
  assert.equal(lost.inForce, "no");
  assert.match(lost.message, /^FORWARD does not ask ampere: INPUT does/);
});

Deno.test("asterisk place: here, behind a bridge, or elsewhere", () => {
  const network = { interfaces: INTERFACES, gateways: [GATEWAY] };
  const kindOf = (address: string) => placeOfAddress(address, network).kind;
  for (const address of ["127.0.0.1", "::1", "0.0.0.0", "::", "203.0.113.1", "172.17.0.1"]) {
    assert.equal(kindOf(address), "here", address);
  }
  assert.deepEqual(placeOfAddress("172.17.0.2", network), CONTAINER);
  assert.equal(kindOf("198.51.100.7"), "elsewhere");
  // Packets come to a neighbour in the network of the gateway without this machine.
  assert.equal(kindOf("203.0.113.9"), "elsewhere");
  assert.equal(kindOf("fe80::1"), "elsewhere", "the same address is behind each interface");
  const router = {
    interfaces: [...INTERFACES, {
      ...ETH0,
      name: "eth1",
      address: "10.0.0.1",
      network: "10.0.0.0/24",
    }],
  };
  assert.equal(placeOfAddress("10.0.0.5", { ...router, gateways: [GATEWAY] }).kind, "behind");
  // Without a gateway that is known the name of the only interface tells.
  assert.equal(
    placeOfAddress("203.0.113.9", { interfaces: [LO, ETH0], gateways: [] }).kind,
    "elsewhere",
  );
  assert.equal(
    placeOfAddress("172.17.0.2", { interfaces: [LO, DOCKER0], gateways: [] }).kind,
    "behind",
  );
  assert.equal(
    placeOfAddress("172.17.0.2", { interfaces: [], gateways: [] }).kind,
    "here",
    "not known",
  );
  assert.equal(placeOfHost([], network).kind, "here");
  assert.equal(placeOfHost(["198.51.100.7", "172.17.0.2"], network).kind, "behind");
});
