/** Logins from new places: told, never blocked, and known beyond a restart. */

import assert from "node:assert/strict";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import type { BlockList } from "../../src/blocks/block_list.ts";
import { formatStatus } from "../../src/commands/status.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { HostPlaces } from "../../src/daemon/host_places.ts";
import { NewPlaces } from "../../src/daemon/new_places.ts";
import { Notices } from "../../src/daemon/notices.ts";
import { LEARN_MS } from "../../src/places/habits.ts";
import { formatMetrics } from "../../src/telemetry/metrics.ts";
import type { Notice } from "../../src/telemetry/notice.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import { PLAIN } from "../../src/text/table.ts";
import { EventReader } from "../../src/ami/event_reader.ts";
import { BANNER, bytesOf, successfulAuth } from "../support/asterisk_events.ts";
import { withDaemon } from "../support/daemons.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { logWithLines } from "../support/log_lines.ts";
import { FOLDER, mmdbFile } from "../support/mmdb.ts";
import { until } from "../support/namespace.ts";

const [HERE, AWAY] = ["192.0.2.7", "203.0.113.7"];
const GEO = mmdbFile(["192.0.2.0/24", { country_code: "DE" }], [
  "203.0.113.0/24",
  { country_code: "BR" },
]);
const START = Date.UTC(2026, 8, 1);

/** One life of what learns, with a list of its own. */
async function life(list: BlockList, clock: FakeClock, changes: Partial<Config> = {}) {
  const config = { ...DEFAULT_CONFIG, geo: GEO, ...changes };
  const { log, lines } = logWithLines();
  const told: Notice[] = [];
  const places = new HostPlaces(config, { log, changed: () => {} });
  await places.open();
  const wallClock = () => clock.now();
  const notices = new Notices((notice) => void told.push(notice), wallClock, places);
  const believedTime = { now: wallClock };
  const parts = { list, places, notices, log, clock, wallClock, believedTime };
  const news = new NewPlaces({ ...parts, config: () => config });
  const reader = new EventReader({
    banner: () => {},
    response: () => {},
    event: (event) => news.login(event),
    tampered: () => assert.fail("tampered"),
  });
  reader.push(bytesOf(BANNER));
  const login = (host: string, more: Record<string, string> = {}) => {
    reader.push(bytesOf(successfulAuth(host, more)));
    reader.flushWithheld();
  };
  return { news, login, told, lines };
}

function listAt(name: string): WrittenBlockList {
  return WrittenBlockList.open(`${FOLDER}/${name}.db`, { now: START });
}

Deno.test("new places: what was learned outlives a restart; a new country is told once, with all of it", async () => {
  const clock = new FakeClock(START);
  const first = listAt("restart");
  const before = await life(first, clock);
  before.news.look();
  before.login(HERE);
  await clock.advance(60_000);
  before.news.look();
  first.close(START);
  const began = clock.now() - 60_000;
  await clock.advance(LEARN_MS);
  const second = listAt("restart");
  const after = await life(second, clock, { home: ["DE"] });
  after.news.look();
  assert.equal(after.news.accounts, 1);
  after.login(HERE);
  assert.deepEqual(after.told, []);
  after.login(AWAY);
  after.login(AWAY);
  const place = { country: "BR", asn: null, organisation: null, away: true };
  assert.deepEqual(after.told, [{
    event: "new-place",
    time: new Date(clock.now()).toISOString(),
    service: "PJSIP",
    account: after.news.last[0]!.account,
    address: AWAY,
    place,
    before: ["DE"],
    since: new Date(began).toISOString(),
  }]);
  assert.equal(after.news.count, 1);
  assert.ok(
    after.lines.some((line) =>
      /logged in from a new place: 203\.0\.113\.7, BR \(away\); since 2026-09-01 always from DE\. Nobody is blocked/
        .test(line)
    ),
    after.lines.join("\n"),
  );
  after.news.finish();
  assert.deepEqual([...second.habits()![0]!.countries.seen.keys()].toSorted(), ["BR", "DE"]);
  second.close(START);
});

Deno.test("new places: off, or without files, nothing is learned or written", async () => {
  for (const changes of [{ newPlace: false }, { geo: undefined }]) {
    const list = listAt(`off-${Object.keys(changes)[0]}`);
    const { news, login } = await life(list, new FakeClock(START), changes);
    news.look();
    login(HERE);
    news.finish();
    assert.deepEqual([news.isOn, news.accounts, list.habits()], [false, 0, []]);
    list.close(START);
  }
});

Deno.test("new places: a database that cannot be written loses nothing of it", async () => {
  const clock = new FakeClock(START);
  let works = false;
  const written: string[] = [];
  const list = {
    habits: () => [],
    saveHabits: (habits: readonly { readonly account: string }[]) => {
      if (works) written.push(...habits.map(({ account }) => account));
      return works;
    },
  } as unknown as BlockList;
  const { news, login } = await life(list, clock);
  news.look();
  login(HERE);
  await clock.advance(60_000);
  news.look();
  assert.deepEqual(written, []);
  works = true;
  news.look();
  assert.deepEqual(written, [], "not before a minute has passed");
  await clock.advance(60_000);
  news.look();
  assert.equal(written.length, 1);
});

Deno.test("new places: the daemon hears of logins that are believed, and tells how many it knows", async () => {
  await withDaemon({ geo: GEO }, async (daemon, asterisk) => {
    await until("the file is read", () => daemon.places.of(AWAY)?.country === "BR");
    await asterisk.send(successfulAuth(HERE));
    await until("it is known", () => daemon.newPlaces.accounts === 1);
    // Without a password nothing is proved.
    await asterisk.send(
      successfulAuth(AWAY, { account: "101" }).replace(
        "UsingPassword: 1",
        "UsingPassword: 0",
      ),
    );
    await until("it is read", () => daemon.counters.eventsTotal >= 2);
    assert.equal(daemon.newPlaces.accounts, 1);
    const status = statusOf(daemon, Date.now());
    assert.deepEqual(status.places?.newPlaces, { count: 0, accounts: 1, last: [] });
    assert.match(
      formatStatus(status, Date.now(), PLAIN),
      /^ +it is known from where 1 account logs in$/m,
    );
    assert.match(formatMetrics(daemon), /^ampere_new_places_total 0$/m);
    const found = {
      service: "PJSIP",
      account: 'a"\n',
      address: AWAY,
      place: { country: "BR", asn: null, organisation: null, away: false },
      time: new Date().toISOString(),
      before: ["DE"],
      since: new Date().toISOString(),
    };
    const newPlaces = { count: 2, accounts: 1, last: [found] };
    const text = formatStatus(
      { ...status, places: { ...status.places!, newPlaces } },
      Date.now(),
      PLAIN,
    );
    assert.match(
      text,
      /new place: "a\\"\\x0a" \(PJSIP\) logged in from 203\.0\.113\.7, BR, at .*; before always from DE$/m,
    );
    assert.match(text, /and 1 more login from new places since the start/);
    assert.equal(daemon.list.size, 0);
  });
});
