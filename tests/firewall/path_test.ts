/** Which way a packet takes through the chains. */

import assert from "node:assert/strict";
import { findJump, isEstablished, parseListing } from "../../src/firewall/path.ts";

Deno.test("firewall path: the way of a packet through the chains", () => {
  const jumpOf = (listing: string) => findJump(parseListing(listing), "INPUT", "ampere");
  const passed = (listing: string) => jumpOf(listing)?.passed.map(({ text }) => text);
  const jump = "-A INPUT -j ampere\n";

  assert.deepEqual(passed(`-P INPUT DROP\n-N ampere\n${jump}-A INPUT -j ACCEPT\n`), []);
  assert.equal(jumpOf("-P INPUT ACCEPT\n-N ampere\n"), undefined);
  assert.equal(jumpOf("-A INPUT -j ampere2\n-A FORWARD -j ampere\n"), undefined);
  assert.equal(
    jumpOf('-A INPUT -m comment --comment "was -j ampere" -j other\n-A other -j RETURN\n'),
    undefined,
  );
  for (
    const broad of [
      "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-m state --state RELATED,ESTABLISHED -j ACCEPT",
      "-p udp -m udp --dport 5060 -j ACCEPT",
      "-p udp -m multiport --dports 22,5060 -j ACCEPT",
      "-p udp -m udp --dport 10000:20000 -j ACCEPT",
      "-p udp -j ACCEPT",
      "-i eth0 -j ACCEPT",
      "! -i lo -j ACCEPT",
      "! -s 192.168.0.0/16 -j ACCEPT",
      "-j ACCEPT",
    ]
  ) {
    assert.deepEqual(passed(`-A INPUT ${broad}\n${jump}`), [broad], broad);
  }
  for (
    const narrow of [
      "-i lo -j ACCEPT",
      "-s 192.168.0.0/16 -p udp -m udp --dport 5060 -j ACCEPT",
      "-p tcp -m tcp --dport 22 -j ACCEPT",
      "-p tcp -m multiport --dports 22,80,443 -j ACCEPT",
      "-p icmp -j ACCEPT",
      "-m set --match-set friends src -j ACCEPT",
      "-p udp -m udp --dport 5060 -j DROP",
      "-m comment --comment x",
    ]
  ) {
    assert.deepEqual(passed(`-A INPUT ${narrow}\n${jump}`), [], narrow);
  }
  const ufw = "-A INPUT -j ufw-before\n-A ufw-before -i lo -j ACCEPT\n" +
    "-A ufw-before -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A ufw-before -j ampere\n";
  const inUfw = jumpOf(ufw);
  assert.equal(inUfw?.chain, "ufw-before");
  assert.equal(inUfw?.passed.length, 1);
  assert.ok(isEstablished(inUfw!.passed[0]!));
  // What a chain for friends accepts does not concern strangers.
  assert.deepEqual(
    passed(`-A INPUT -s 10.0.0.0/8 -j friends\n-A friends -j ACCEPT\n${jump}`),
    [],
  );
  assert.deepEqual(passed(`-A INPUT -j open\n-A open -j ACCEPT\n${jump}`), ["-j ACCEPT"]);
  // Chains that call each other in a circle cannot be made with iptables, but must not hang this.
  assert.equal(jumpOf("-A INPUT -j a\n-A a -j b\n-A b -j a\n"), undefined);
});

Deno.test("firewall path: a jump for some packets only, and a RETURN in front of it", () => {
  const jumpOf = (listing: string) => findJump(parseListing(listing), "INPUT", "ampere");
  for (
    const narrow of [
      "-p tcp -j ampere",
      "-i eth9 -j ampere",
      "-s 10.0.0.0/8 -j ampere",
      "! -s 10.0.0.0/8 -j ampere",
      "-d 192.0.2.1/32 -j ampere",
      "-p udp -m udp --dport 5060 -m limit --limit 1/min -j ampere",
      "-p udp -m udp --dport 5060 -j ampere",
      "-m conntrack --ctstate NEW -j ampere",
      '-m comment --comment "a -j b" -m string --string x --algo bm --to 65535 -j ampere',
    ]
  ) {
    assert.equal(jumpOf(`-A INPUT ${narrow}\n`)?.condition?.text, narrow);
    // A wider one, wherever it stands, makes it well.
    assert.equal(jumpOf(`-A INPUT ${narrow}\n-A INPUT -j ampere\n`)?.condition, undefined);
  }
  for (
    const whole of [
      "-j ampere",
      "-g ampere",
      "! -i lo -j ampere",
      '-m comment --comment "keeps guessers out" -j ampere',
      "-m comment --comment x -j ampere",
      "-m addrtype --dst-type LOCAL -j ampere",
    ]
  ) {
    const jump = jumpOf(`-A INPUT ${whole}\n`);
    assert.deepEqual([jump?.text, jump?.condition], [whole, undefined]);
  }
  const both = "-A INPUT -p udp -j ampere\n-A INPUT -p udp -j ACCEPT\n-A INPUT -p tcp -j ampere\n";
  assert.equal(jumpOf(both)?.condition, undefined, "UDP and TCP are all");
  assert.deepEqual(jumpOf(both)?.passed, []);
  assert.equal(
    jumpOf(
      "-A INPUT -p udp -m udp --dport 5060 -j ampere\n-A INPUT -p tcp -m tcp --dport 5061 -j ampere\n",
    )?.condition?.text,
    "-p udp -m udp --dport 5060 -j ampere",
  );
  // The condition may stand further in front.
  assert.equal(
    jumpOf("-A INPUT -p udp -j sip\n-A sip -j ampere\n")?.condition?.text,
    "-p udp -j sip",
  );

  const returned = (listing: string) => jumpOf(listing)?.passed.map(({ text }) => text);
  assert.deepEqual(returned("-A INPUT -j fw\n-A fw -p udp -j RETURN\n-A fw -j ampere\n"), [
    "-p udp -j RETURN",
  ]);
  assert.deepEqual(returned("-A INPUT -p udp -j RETURN\n-A INPUT -j ampere\n"), [
    "-p udp -j RETURN",
  ]);
  for (
    const harmless of [
      "-A INPUT -j fw\n-A fw -s 10.0.0.0/8 -j RETURN\n-A fw -j ampere\n",
      "-A INPUT -j fw\n-A fw -p udp -j RETURN\n-A INPUT -j ampere\n",
      "-A INPUT -j fw\n-A fw -p udp -j RETURN\n-A fw -j ampere\n-A INPUT -j ampere\n",
    ]
  ) {
    assert.deepEqual(returned(harmless), [], harmless);
  }
  // Chains that call others many times are given up at some time.
  const deep = Array.from({ length: 40 }, (_, i) => `-A c${i} -j c${i + 1}\n`.repeat(3)).join("");
  assert.equal(jumpOf(`-A INPUT -j c0\n${deep}-A c40 -j DROP\n`), undefined);
});
