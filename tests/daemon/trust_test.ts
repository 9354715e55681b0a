/** Whom the administrator trusts: the file and the names, while the daemon runs. */

import assert from "node:assert/strict";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Trust } from "../../src/daemon/trust.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { ADDRESS, withDaemon } from "../support/daemons.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { logWithLines } from "../support/log_lines.ts";
import { until } from "../support/namespace.ts";

/** A trust list in a folder of its own, with a clock that the test moves. */
class Bench implements AsyncDisposable {
  readonly folder: string;
  readonly clock: FakeClock;
  readonly lines: string[];
  readonly trust: Trust;
  answers: Record<string, readonly string[]> = {};
  changes = 0;

  constructor(config: Partial<Config>, folder = Deno.makeTempDirSync(), clock = new FakeClock()) {
    this.folder = folder;
    this.clock = clock;
    const { log, lines } = logWithLines();
    this.lines = lines;
    this.trust = new Trust(this.config(config), {
      log,
      clock,
      wallClock: () => clock.now(),
      lookup: (name) => {
        const found = this.answers[name];
        return found === undefined
          ? Promise.reject(new Error("its name is not known"))
          : Promise.resolve(found);
      },
      answersFile: `${folder}/answers`,
      changed: () => void this.changes++,
    });
  }

  config(config: Partial<Config>): Config {
    const trustFile = config.trustFile === undefined
      ? undefined
      : `${this.folder}/${config.trustFile}`;
    return { ...DEFAULT_CONFIG, ...config, trustFile };
  }

  write(text: string): void {
    Deno.writeTextFileSync(`${this.folder}/trusted`, text);
  }

  /** Time passes, in seconds, as the daemon looks. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.trust.look();
      await this.clock.advance(1_000);
    }
  }

  takeLines(): string {
    return this.lines.splice(0).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test("trust: a file is waited for, read when it has come to rest, and read again", async () => {
  await using bench = new Bench({ trust: ["192.0.2.1"], trustFile: "trusted" });
  assert.deepEqual(bench.trust.targets, ["192.0.2.1"]);
  assert.match(
    bench.takeLines(),
    /trust_file: .*trusted: there is no such file\. It is waited for/,
  );
  await bench.pass(5);
  assert.equal(bench.takeLines(), "", "told once");

  bench.write("192.0.2.7\n2001:db8::/64\n");
  await bench.pass(1);
  bench.write("192.0.2.7\n2001:db8::/64\n192.0.2.8\n");
  await bench.pass(1);
  assert.equal(bench.changes, 0, "somebody may still write it");
  await bench.pass(2);
  assert.equal(bench.changes, 1);
  assert.deepEqual(bench.trust.targets, ["192.0.2.1", "192.0.2.7", "2001:db8::/64", "192.0.2.8"]);
  assert.match(bench.takeLines(), /trusted was read: 3 addresses and networks, 0 names/);

  // As editors do: another file is put in its place.
  Deno.writeTextFileSync(`${bench.folder}/fresh`, "192.0.2.9\n");
  Deno.renameSync(`${bench.folder}/fresh`, `${bench.folder}/trusted`);
  await bench.pass(3);
  assert.deepEqual(bench.trust.targets, ["192.0.2.1", "192.0.2.9"]);
  assert.deepEqual(bench.trust.state.file, {
    path: `${bench.folder}/trusted`,
    entries: 1,
    trouble: undefined,
  });
});

Deno.test("trust: a broken line leaves everybody trusted who was, and is told with its place", async () => {
  await using bench = new Bench({ trustFile: "trusted" });
  bench.write("192.0.2.7\n192.0.2.8\n");
  await bench.pass(3);
  bench.takeLines();
  bench.write("192.0.2.7x\n192.0.2.9\n");
  await bench.pass(3);
  assert.deepEqual([...bench.trust.targets].sort(), ["192.0.2.7", "192.0.2.8", "192.0.2.9"]);
  const told = bench.takeLines();
  assert.match(told, /trusted:1: "192\.0\.2\.7x" is not an address or network/);
  assert.match(told, /what stood there before, until the file is right\. Fix:/);
  assert.match(bench.trust.state.file!.trouble!, /trusted:1:/);
  bench.write("192.0.2.7\n192.0.2.9\n");
  await bench.pass(3);
  assert.deepEqual(bench.trust.targets, ["192.0.2.7", "192.0.2.9"]);
  assert.equal(bench.trust.state.file!.trouble, undefined);
});

Deno.test("trust: a broken file hinders no start, and a file that goes leaves who is trusted", async () => {
  const folder = Deno.makeTempDirSync();
  Deno.writeTextFileSync(`${folder}/trusted`, "192.0.2.7\n?\noffice.example\n");
  await using bench = new Bench({ trustFile: "trusted" }, folder);
  bench.answers = { "office.example": ["203.0.113.5"] };
  await bench.pass(2);
  assert.deepEqual(bench.trust.targets, ["192.0.2.7", "203.0.113.5"]);
  assert.match(bench.takeLines(), /trusted:2: "\?" is not/);
  Deno.removeSync(`${folder}/trusted`);
  await bench.pass(5);
  assert.deepEqual(bench.trust.targets, ["192.0.2.7", "203.0.113.5"]);
  const told = bench.takeLines();
  assert.match(told, /there is no such file\. It is waited for; what it said before stays trusted/);
  assert.equal(told.split("\n").length, 1);
  // Only a configuration without the file ends that.
  bench.trust.configure(bench.config({}));
  assert.deepEqual(bench.trust.targets, []);
});

Deno.test("trust: answers for names outlive a restart without a name server", async () => {
  await using bench = new Bench({ trustNames: ["office.example"] });
  bench.answers = { "office.example": ["203.0.113.5"] };
  await bench.pass(2);
  bench.trust.close();
  const mode = Deno.statSync(`${bench.folder}/answers`).mode! & 0o777;
  assert.equal(mode, 0o600);
  const later = new Bench({ trustNames: ["office.example"] }, bench.folder, bench.clock);
  assert.deepEqual(later.trust.targets, ["203.0.113.5"], "before anything was looked up");
  await later.pass(1);
  assert.match(later.trust.state.names[0]!.failing!, /not known/);
  await later.pass(86_400);
  assert.deepEqual(later.trust.targets, []);
  for (const text of ["", "{}", "[1,null]", "[", '[{"name":"office.example","addresses":[7]}]']) {
    Deno.writeTextFileSync(`${bench.folder}/answers`, text);
    const broken = new Bench({ trustNames: ["office.example"] }, bench.folder);
    assert.deepEqual(broken.trust.targets, []);
  }
});

Deno.test("trust: more names than may be are told, the first ones hold", async () => {
  await using bench = new Bench({
    trustFile: "trusted",
    trustNames: Array.from({ length: 128 }, (_, i) => `h${i}.example`),
  });
  bench.write("one-more.example\n192.0.2.7\n");
  await bench.pass(3);
  assert.equal(bench.trust.state.names.length, 128);
  assert.deepEqual(bench.trust.targets, ["192.0.2.7"]);
  assert.match(bench.takeLines(), /more than 128 names: one-more\.example and what follows/);
});

Deno.test("trust: whoever is trusted now is released at once, by a file too", async () => {
  const folder = await Deno.makeTempDir();
  const trustFile = `${folder}/trusted`;
  try {
    await withDaemon({ trustFile }, async (daemon, asterisk, notices) => {
      for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
      await until("the host is blocked", () => daemon.list.size === 1);
      await Deno.writeTextFile(trustFile, `${ADDRESS}\n`);
      await until("the host is released", () => daemon.list.size === 0);
      assert.equal(notices.at(-1)!.event, "unblock");
      assert.equal(daemon.trust.file!.entries, 1);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
