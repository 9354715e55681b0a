import assert from "node:assert/strict";
import { contains } from "../../../src/address/address.ts";
import { formatReplay, formatReplayJson } from "../../../src/commands/replay/replay.ts";
import { DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { STRANGE_ACCOUNTS_MIN } from "../../../src/penalties/proxy_signs.ts";
import {
  bytesOf,
  challengeSent,
  successfulAuth,
  wrongAnswer,
} from "../../support/asterisk_events.ts";
import { EARNED, recording, recordings } from "../../support/recordings.ts";
import { blockedIn, cli, run, textOf, toLog } from "../../support/replays.ts";

Deno.test("replay: every recording blocks attackers, and no others", () => {
  for (const { name, bytes, attackers, legit } of recordings()) {
    const { blocks } = run(bytes);
    const attacking = new Set(attackers.map((address) => address.split("%")[0]!));
    const earned = EARNED[name] ?? [];
    for (const { target } of blocks) {
      const inside = (addresses: Iterable<string>) =>
        [...addresses].some((address) => contains(target, address));
      assert.ok(inside(attacking) || earned.includes(target), `${name}: ${target}`);
      assert.ok(
        !inside(legit.map((address) => address.split("%")[0]!)) || attacking.has(target) ||
          earned.includes(target),
        `${name}: ${target}`,
      );
    }
  }
  assert.equal(blockedIn(recording("pjsip-udp-wrong-password.ami").bytes).length > 0, true);
});

Deno.test("replay: the log of the same events blocks the same hosts at the same time", () => {
  for (const { name, bytes } of recordings()) {
    // In these a stranger's line ends make other lines of a log than of AMI.
    if (/injection|weird/.test(name)) continue;
    const log = bytesOf(toLog(textOf(bytes)));
    if (log.length === 0) continue;
    const fromAmi = run(bytes);
    const fromLog = run(log);
    assert.equal(fromLog.format, "security log", name);
    assert.deepEqual(fromLog.blocks, fromAmi.blocks, name);
    assert.deepEqual(fromLog.byKind, fromAmi.byKind, name);
  }
});

Deno.test("replay: hints name blocked hosts that logged in, and hosts blocked for silence alone", () => {
  const wrong = Array.from({ length: 3 }, () => wrongAnswer("198.51.100.23")).join("");
  const phone = run(bytesOf(wrong + successfulAuth("198.51.100.23")));
  assert.match(
    formatReplay(phone, DEFAULT_CONFIG),
    /^Hint: 1 blocked host logged in with a password too: 198\.51\.100\.23\..*trust = 198\.51\.100\.23/m,
  );
  const silent = run(bytesOf([1, 2, 3].map(() => challengeSent("203.0.113.8")).join("")), {
    ...DEFAULT_CONFIG,
    learn: 0,
  });
  assert.match(
    formatReplay(silent, DEFAULT_CONFIG),
    /^Hint: 1 host would have been blocked for unanswered/m,
  );
  assert.match(
    formatReplay(silent, DEFAULT_CONFIG),
    /^Hint: There is no login with a password in it/m,
  );
});

Deno.test("replay: an address where many accounts fail is never advised to be trusted", () => {
  const address = "172.17.0.1";
  const replayed = (accounts: number) => {
    const wrong = Array.from(
      { length: 40 },
      (_, i) => wrongAnswer(address, { account: `guessed-${i % accounts}` }),
    ).join("");
    const login = successfulAuth(address, { account: "100" });
    return formatReplay(run(bytesOf(login + wrong + login)), DEFAULT_CONFIG);
  };
  const proxy = replayed(STRANGE_ACCOUNTS_MIN);
  assert.doesNotMatch(proxy, /trust =/);
  assert.match(
    proxy,
    /^Hint: 1 blocked host logged in .*too, and 10 or more other accounts failed there: 172\.17\.0\.1\./m,
  );
  assert.match(
    replayed(STRANGE_ACCOUNTS_MIN - 1),
    /^Hint: 1 blocked host .* trust = 172\.17\.0\.1/m,
  );
});

Deno.test("replay: an office whose own phones outnumber those with old passwords is no proxy", () => {
  const address = "198.51.100.7";
  const told = (own: number) => {
    const logins = Array.from(
      { length: own },
      (_, i) => successfulAuth(address, { account: `${100 + i}` }),
    ).join("");
    const wrong = Array.from(
      { length: 40 },
      (_, i) => wrongAnswer(address, { account: `${500 + i % STRANGE_ACCOUNTS_MIN}` }),
    ).join("");
    return formatReplay(run(bytesOf(logins + wrong)), DEFAULT_CONFIG);
  };
  const office = told(STRANGE_ACCOUNTS_MIN + 1);
  assert.doesNotMatch(office, /proxy|trust =/);
  assert.match(
    office,
    /^Hint: 1 blocked host .* fewer than logged in: 198\.51\.100\.7\. Phones with /m,
  );
  assert.match(told(STRANGE_ACCOUNTS_MIN), /Either a proxy or gateway hides who calls/);
});

Deno.test("replay: what costs nothing in the first hour is told, and how to make it count", () => {
  const silent = [1, 2, 3].map(() => challengeSent("203.0.113.8")).join("");
  const hint =
    /^Hint: 1 more host left challenges .*: 203\.0\.113\.8\. In the first 1 h .*learn = 0/m;
  const result = run(bytesOf(silent));
  assert.deepEqual(result.blocks, []);
  assert.match(formatReplay(result, DEFAULT_CONFIG), hint);
  const phone = run(bytesOf(silent + successfulAuth("203.0.113.8")));
  assert.doesNotMatch(formatReplay(phone, DEFAULT_CONFIG), /more host/, "it belongs here");
  const config = { ...DEFAULT_CONFIG, learn: 0 };
  assert.doesNotMatch(formatReplay(run(bytesOf(silent), config), config), /more host/);
});

Deno.test("replay: JSON has one object a line, the totals last", () => {
  const result = run(recording("sip-injection-crlf.ami").bytes);
  const objects = formatReplayJson(result).trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(objects.map(({ type }) => type), [
    ...result.blocks.map(() => "block"),
    "totals",
  ]);
  const totals = objects.at(-1);
  assert.equal(totals.events, result.events);
  assert.equal(totals.tampered.malformed, result.tampered.get("malformed"));
  assert.equal(totals.blocked, new Set(result.blocks.map(({ target }) => target)).size);
});

Deno.test("replay: files in the order of their times; a missing one does not hide the others", async () => {
  const folder = await Deno.makeTempDir();
  const at = (hour: number) => `2026-11-22T0${hour}:00:00.000+0000`;
  const file = async (name: string, hour: number) => {
    await Deno.writeTextFile(`${folder}/${name}`, wrongAnswer("203.0.113.9", { time: at(hour) }));
    return `${folder}/${name}`;
  };
  try {
    const files = [await file("a", 1), await file("b", 2), await file("c", 3)];
    const good = await cli(files);
    assert.equal(good.code, 0);
    assert.equal(good.err, "");
    assert.match(good.out, /1 host would have been blocked/);
    const wrongOrder = await cli([...files].reverse());
    assert.match(wrongOrder.err, /b begins 1 h before the end of the file before it/);
    const missing = await cli([`${folder}/none`, ...files]);
    assert.equal(missing.code, 1);
    assert.match(missing.err, /^ampere: there is no file .*none$/m);
    assert.match(missing.out, /1 host would have been blocked/);
    assert.equal((await cli([`${folder}/none`])).out, "");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("replay: an event with a time that does not exist is told and left out, and stops no clock", async () => {
  const folder = await Deno.makeTempDir();
  const at = (second: number) => `2026-11-22T08:00:0${second}.000+0000`;
  const wrong = (time: string, address = "203.0.113.9") => wrongAnswer(address, { time });
  const impossible = "2026-13-41T08:00:00.000+0000";
  const stream = wrong(at(1)) + wrong(impossible, "203.0.113.10").repeat(7) + wrong(at(2)) +
    wrong(at(3));
  try {
    for (const first of ["", wrong(impossible)]) {
      await Deno.writeFile(`${folder}/a.ami`, bytesOf(first + stream));
      const { code, out, err } = await cli([`${folder}/a.ami`]);
      assert.equal(code, 0);
      assert.equal(err.trim().split("\n").length, 5, err);
      assert.match(
        err,
        /^warning: .*a\.ami: security event \d \(EventTV "2026-13-41T08:00:00\.000\+0000", /,
      );
      assert.match(out, /1 host would have been blocked/);
      assert.match(out, /3 security events of 1 host from 2026-11-22/);
      assert.match(
        out,
        new RegExp(`${first === "" ? 7 : 8} messages tampered with: \\d malformed`),
      );
      assert.doesNotMatch(out, /NaN/);
      assert.doesNotMatch((await cli([`${folder}/a.ami`], { json: true })).out, /NaN/);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("replay: without the right to read, the way round that is told works", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/a b.ami`;
  await Deno.writeFile(file, recording("pjsip-udp-wrong-password.ami").bytes);
  const main = new URL("../../../main.ts", import.meta.url).pathname;
  const config = `${folder}/ampere.cfg`;
  await Deno.writeTextFile(config, "");
  const ampere = [
    "run",
    "--no-prompt",
    "--quiet",
    "--allow-sys=networkInterfaces",
    `--allow-read=${config}`,
    main,
    "-c",
    config,
    "--replay",
  ];
  const run = (args: string[], stdin: "null" | "piped") => {
    const child = new Deno.Command(Deno.execPath(), {
      args: [...ampere, ...args],
      stdin,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return child;
  };
  try {
    const refused = await run([file], "null").output();
    const said = new TextDecoder().decode(refused.stderr);
    assert.equal(refused.code, 1);
    assert.ok(said.includes(`ampere --replay - < '${file}'`), said);
    assert.ok(said.includes(`deno task compile -- --allow-path=${folder}`), said);

    const child = run(["-"], "piped");
    const writer = child.stdin.getWriter();
    await writer.write(await Deno.readFile(file));
    await writer.close();
    const { code, stdout } = await child.output();
    assert.equal(code, 0);
    assert.match(new TextDecoder().decode(stdout), /would have been blocked/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("replay: a network is not to be trusted because one address in it logged in", () => {
  let text = successfulAuth("2001:db8:0:1::beef");
  for (let i = 1; i < 100; i++) text += wrongAnswer(`2001:db8:0:1::${i}`);
  const replayed = run(bytesOf(text));
  assert.ok(replayed.blocks.some(({ target }) => target === "2001:db8:0:1::/64"));
  assert.doesNotMatch(formatReplay(replayed, DEFAULT_CONFIG), /trust =/);
});

Deno.test("replay: an address that hides who calls is told once, never with the advice to trust it", () => {
  const at = (second: number) =>
    new Date(Date.UTC(2026, 10, 22, 8) + second * 1000).toISOString()
      .replace("Z", "+0000");
  let text = "";
  for (let second = 0; second < 1_200; second += 3) {
    const time = at(second);
    if (second % 60 < 9) {
      text += successfulAuth("172.17.0.1", { account: `${100 + second % 60}`, time });
    }
    text += wrongAnswer("172.17.0.1", { account: `stranger${second % 60}`, time });
  }
  const proxy = run(bytesOf(text));
  assert.deepEqual(proxy.proxies.map(({ address, own }) => [address, own]), [["172.17.0.1", 3]]);
  const said = formatReplay(proxy, DEFAULT_CONFIG);
  assert.match(said, /^Hint: 172\.17\.0\.1 looks like a proxy or gateway.*host networking/m);
  assert.doesNotMatch(said, /trust = 172/);
  const local = run(bytesOf(Array.from({ length: 100 }, () => wrongAnswer("127.0.0.1")).join("")));
  assert.match(
    formatReplay(local, DEFAULT_CONFIG),
    /^Hint: 100 failed logins from 127\.0\.0\.1, which is never blocked \(loopback\)/m,
  );
});

Deno.test("replay: accounts that would have been guarded, and networks blocked for their hosts, are told", () => {
  const at = (second: number) =>
    new Date(Date.UTC(2026, 10, 22, 8) + second * 1000).toISOString().replace("Z", "+0000");
  let text = "";
  for (let n = 0; n < 40; n++) {
    text += wrongAnswer(`198.51.${n}.7`, { account: "1\x1b00", time: at(n) });
  }
  for (let n = 0; n < 9; n++) {
    const address = `203.0.113.${Math.floor(n / 3)}`;
    const remote = `IPV4/TLS/${address}/5061`;
    text += wrongAnswer(address, { account: `${n}`, remote, time: at(100 + n) });
  }
  // Two hours later its guard is over.
  text += successfulAuth("192.0.2.77", { time: at(7_300) });
  const config = { ...DEFAULT_CONFIG, neighbours: 3 };
  const replayed = run(bytesOf(text), config);
  const said = formatReplay(replayed, config);
  assert.match(
    said,
    /^account "1\\x1b00" \(PJSIP\) would have been guarded from .* to .*: 31 blocks at the first wrong password for it$/m,
  );
  assert.match(said, /203\.0\.113\.0\/24 +1 h +3 blocked hosts within a day: 203\.0\.113\.0, /);
  const objects = formatReplayJson(replayed).trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(
    objects.find(({ target }) => target === "203.0.113.0/24").grounds,
    "neighbours",
  );
  assert.equal(objects.filter(({ grounds }) => grounds === "guarded account").length, 31);
  const [{ over, since, ...guarded }] = objects.at(-1).guarded;
  assert.deepEqual(guarded, { service: "PJSIP", account: "1\x1b00", blocked: 31 });
  assert.equal(since, "2026-11-22T08:00:09.000Z");
  assert.ok(Date.parse(over) - Date.parse(since) > 3_600_000);
});
