/** Where hosts are, while the daemon runs. */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { HostPlaces } from "../../src/daemon/host_places.ts";
import { formatStatus } from "../../src/commands/status.ts";
import { formatMetrics } from "../../src/telemetry/metrics.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import { PLAIN } from "../../src/text/table.ts";
import { challengeSent, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { withDaemon } from "../support/daemons.ts";
import { logWithLines } from "../support/log_lines.ts";
import { mmdbFile } from "../support/mmdb.ts";
import { until } from "../support/namespace.ts";

const [HERE, AWAY, NOWHERE] = ["192.0.2.7", "203.0.113.7", "198.51.100.7"];
const OWNER = { autonomous_system_number: 64_500, autonomous_system_organization: "Example" };
const GEO = mmdbFile(["192.0.2.0/24", { country_code: "DE" }], [
  "203.0.113.0/24",
  { country: { iso_code: "BR" } },
]);
const ASN = mmdbFile(["203.0.113.0/24", OWNER], ["192.0.2.0/24", { asn: 64_501 }]);
const RULES = { geo: GEO, asn: ASN, home: ["DE"] };

Deno.test("places: a stranger from away is blocked for one wrong password, and told with the place", async () => {
  await withDaemon(RULES, async (daemon, asterisk, notices, lines) => {
    await until("the files are read", () => daemon.places.of(AWAY)?.country === "BR");
    for (const host of [HERE, NOWHERE, AWAY]) await asterisk.send(wrongAnswer(host));
    await until("all is read", () => daemon.counters.eventsTotal >= 3);
    assert.deepEqual(daemon.list.all().map(({ target }) => target), [AWAY]);
    const [block] = daemon.list.all();
    assert.match(block!.reason, /one attempt only: it is in BR, which is not home/);
    await until("it is told", () => notices.some((one) => one.event === "block"));
    const notice = notices.find((one) => one.event === "block");
    assert.deepEqual(notice?.place, {
      country: "BR",
      asn: 64_500,
      organisation: "Example",
      away: true,
    });
    assert.ok(
      lines.some((line) =>
        /blocked 203\.0\.113\.7 .*; from BR, AS64500 "Example" \(away\)/.test(line)
      ),
      lines.join("\n"),
    );
    const status = statusOf(daemon, Date.now());
    assert.deepEqual(status.places?.blocksByCountry, { BR: 1 });
    assert.deepEqual(status.places?.blocksByNetwork, { AS64500: 1 });
    assert.equal(status.blocks.last[0]?.place?.country, "BR");
    const worst = new Map(status.hosts.worst.map(({ host, place }) => [host, place?.country]));
    assert.deepEqual([worst.get(HERE), worst.get(NOWHERE), worst.size], ["DE", null, 2]);
    const text = formatStatus(status, Date.now(), PLAIN);
    assert.match(text, /^Places +known: .*\.mmdb, "Test" of 2026-/m);
    assert.match(text, /^ +home is DE, who is away: one attempt$/m);
    assert.match(text, /^ +blocks since the start: 1 BR; 1 AS64500$/m);
    assert.match(text, /^203\.0\.113\.7 .*BR, AS64500 "Example" \(away\)/m);
    assert.match(text, /^192\.0\.2\.7 .*DE, AS64501/m);
    const metrics = formatMetrics(daemon);
    assert.match(metrics, /^ampere_blocks_by_country_total\{country="BR"\} 1$/m);
    assert.match(metrics, /^ampere_blocks_by_network_total\{asn="64500"\} 1$/m);
    assert.match(metrics, /^ampere_place_file_in_order\{file="geo"\} 1$/m);
  });
});

Deno.test("places: with away = block the first challenge blocks, and nobody who logged in before", async () => {
  await withDaemon({ ...RULES, away: "block" }, async (daemon, asterisk) => {
    await until("the files are read", () => daemon.places.of(AWAY)?.country === "BR");
    const traveller = "203.0.113.8";
    await asterisk.send(successfulAuth(traveller));
    for (const host of [traveller, HERE, AWAY]) await asterisk.send(challengeSent(host));
    await until("all is read", () => daemon.counters.eventsTotal >= 4);
    await until("one is blocked", () => daemon.list.size > 0);
    assert.deepEqual(daemon.list.all().map(({ target }) => target), [AWAY]);
    assert.match(daemon.list.all()[0]!.reason, /no attempt: it is in BR, which is not home/);
  });
});

Deno.test("places: rules change with the configuration, without a restart", async () => {
  await withDaemon({ ...RULES, away: "watch" }, async (daemon, asterisk, _notices, lines) => {
    await until("the files are read", () => daemon.places.of(AWAY)?.country === "BR");
    await asterisk.send(wrongAnswer(AWAY, { session: "a" }));
    await until("all is read", () => daemon.counters.eventsTotal >= 1);
    assert.equal(daemon.list.size, 0);
    daemon.reconfigure({ ...daemon.config, away: "strict" });
    await until("it is in force", () => daemon.places.strict !== undefined);
    await asterisk.send(wrongAnswer(AWAY, { session: "b" }));
    await until("it is blocked", () => daemon.list.size === 1);
    daemon.reconfigure({ ...daemon.config, geo: "/nowhere.mmdb", asn: undefined });
    await until("it is told", () => lines.some((line) => line.includes("/nowhere.mmdb")));
    assert.ok(lines.some((line) => /geo: \/nowhere\.mmdb is not there; .*Fix: /.test(line)));
    assert.equal(daemon.places.of(AWAY)?.country, undefined);
    daemon.reconfigure({ ...daemon.config, geo: undefined });
    await until("it is off", () => daemon.places.files === undefined);
    assert.equal(statusOf(daemon, Date.now()).places, null);
    assert.doesNotMatch(formatMetrics(daemon), /country|place/);
  });
});

Deno.test("places: the newest of several configurations holds, however long its files take", async () => {
  const { log } = logWithLines();
  let changes = 0;
  const places = new HostPlaces(DEFAULT_CONFIG, { log, changed: () => changes++ });
  const one = places.configure({ ...DEFAULT_CONFIG, geo: GEO, home: ["DE"] });
  const other = places.configure({ ...DEFAULT_CONFIG, geo: GEO, home: ["BR"] });
  await Promise.all([one, other]);
  assert.equal(places.of(HERE)?.away, true);
  assert.equal(changes, 1);
  await places.configure({ ...DEFAULT_CONFIG, geo: GEO, home: ["BR"] });
  assert.equal(changes, 1, "nothing has changed");
});
