import assert from "node:assert/strict";
import { contains } from "../../../src/address/address.ts";
import { type Config, DEFAULT_CONFIG } from "../../../src/config/config.ts";
import {
  formatReplay,
  formatReplayJson,
  Replay,
  replay,
} from "../../../src/commands/replay/replay.ts";
import { RecordingError, RecordingReader } from "../../../src/commands/replay/recording.ts";
import { looksLikeSecurityLog, SecurityLogReader } from "../../../src/ami/security_log.ts";
import { latin1 } from "../../../src/ami/framer.ts";
import { EventReader } from "../../../src/ami/event_reader.ts";
import {
  bytesOf,
  challengeSent,
  successfulAuth,
  wrongAnswer,
} from "../../support/asterisk_events.ts";
import { EARNED, recording, recordings } from "../../support/recordings.ts";

/** The bytes as text, one character a byte (`TextDecoder("latin1")` is windows-1252). */
function textOf(bytes: Uint8Array): string {
  return latin1(bytes, 0, bytes.length);
}

/** Events of AMI as lines of res_security_log.c. */
function toLog(ami: string): string {
  const lines = ami.split("\r\n\r\n").flatMap((block) => {
    const at = block.indexOf("Event: ");
    const headers = block.slice(Math.max(0, at)).split("\r\n").filter((line) => line !== "");
    if (headers[1] !== "Privilege: security,all") return [];
    const elements = headers.filter((line) =>
      !/^(?:Event|Privilege|Timestamp|SequenceNumber|File|Line|Func|SystemName):/.test(line)
    ).map((line) => {
      const [, name, value] = /^([^:]*): (.*)$/s.exec(line) ?? [];
      return name === undefined ? line : `,${name}="${value}"`;
    });
    return [
      `[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: SecurityEvent="${
        headers[0]!.slice("Event: ".length)
      }"${elements.join("")}`,
    ];
  });
  return lines.map((line) => `${line}\n`).join("");
}

function run(bytes: Uint8Array, config: Config = DEFAULT_CONFIG, pieces = [bytes.length]) {
  const simulation = new Replay(config);
  const reader = new RecordingReader({
    event: (event, verdict) => simulation.take(event, verdict === "security"),
    tampered: (what) => simulation.tampered(what),
  });
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const next = at + pieces[i % pieces.length]!;
    reader.push(bytes.slice(at, next));
    at = next;
  }
  reader.end();
  return { ...simulation.finish(), format: reader.format };
}

function blockedIn(bytes: Uint8Array, config?: Config): string[] {
  return [...new Set(run(bytes, config).blocks.map(({ target }) => target))].sort();
}

const STAMP = `"2026-11-22T08:09:09.918+0000"`;
const SIP_LINE =
  `[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: SecurityEvent="InvalidPassword",` +
  `EventTV=${STAMP},Severity="Error",Service="SIP",EventVersion="2",AccountID="ACCOUNT",SessionID="0x7f1904001680",` +
  `LocalAddress="IPV4/UDP/192.0.2.10/5060",RemoteAddress="IPV4/UDP/203.0.113.5/5060",Challenge="1a2b3c4d",` +
  `ReceivedChallenge="1a2b3c4d",ReceivedHash="0123456789abcdef0123456789abcdef"\n`;

function readLog(text: string, pieces = 7) {
  const events: string[] = [];
  const tampered: string[] = [];
  const reader = new SecurityLogReader({
    event: (event, verdict) =>
      events.push(`${verdict} ${event.kind} ${event.service} ${event.address} ${event.account}`),
    tampered: (what) => tampered.push(what),
  });
  const bytes = bytesOf(text);
  for (let at = 0; at < bytes.length; at += pieces) reader.push(bytes.slice(at, at + pieces));
  reader.end();
  return { events, tampered, lines: reader.lines };
}

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

Deno.test("replay: patience is counted by the time of the events, and runs out at the end too", () => {
  const at = (second: number) => `2026-11-22T08:00:${String(second).padStart(2, "0")}.000+0000`;
  const stream = bytesOf(
    [0, 1, 2].map((s) => challengeSent("203.0.113.9", { time: at(s) })).join(""),
  );
  const known = { ...DEFAULT_CONFIG, learn: 0 };
  assert.deepEqual(run(stream).blocks, [], "nobody is known at the beginning");
  const [block] = run(stream, known).blocks;
  assert.equal(new Date(block!.at).toISOString(), "2026-11-22T08:00:07.000Z");
  assert.match(block!.reason, /^3 unanswered challenges within 2 s/);
  assert.deepEqual(run(stream, { ...known, patience: 0 }).blocks.map(({ at }) => at), [
    Date.parse("2026-11-22T08:00:02Z"),
  ]);
});

Deno.test("replay: events of a host that would be blocked do not count, until its time is over", () => {
  const at = (minute: number, i: number) =>
    `2026-11-22T08:${String(minute).padStart(2, "0")}:0${i}.000+0000`;
  const burst = (minute: number) =>
    [0, 1, 2, 3].map((i) => wrongAnswer("203.0.113.9", { time: at(minute, i) })).join("");
  const stream = bytesOf(burst(0) + burst(5) + burst(20));
  const { blocks } = run(stream, { ...DEFAULT_CONFIG, bantime: 600 });
  assert.deepEqual(blocks.map(({ times, eventsAfter }) => [times, eventsAfter]), [[1, 5], [2, 1]]);
  assert.equal(blocks[0]!.until! - blocks[0]!.at, 600_000);
  assert.deepEqual(run(stream).blocks.map(({ eventsAfter }) => eventsAfter), [9]);
});

Deno.test("replay: trust, and what another loyalty would do", () => {
  const { bytes } = recording("pjsip-udp-wrong-password.ami");
  const all = blockedIn(bytes);
  const [first] = all;
  assert.ok(!blockedIn(bytes, { ...DEFAULT_CONFIG, trust: [first!] }).includes(first!));
  const { whatIf } = run(bytes);
  assert.deepEqual([...whatIf.keys()], [1, 2, 3, 5, 10]);
  assert.deepEqual([...whatIf.get(3)!].sort(), all);
  for (const [loyalty, targets] of whatIf) {
    assert.deepEqual(
      [...targets].sort(),
      blockedIn(bytes, { ...DEFAULT_CONFIG, loyalty }),
      `${loyalty}`,
    );
  }
  assert.deepEqual([...run(bytes, { ...DEFAULT_CONFIG, loyalty: 7 }).whatIf.keys()], [
    1,
    2,
    3,
    5,
    7,
    10,
  ]);
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

Deno.test("replay: the split of the input into reads changes nothing", () => {
  const { bytes } = recording("mixed-medium.ami");
  const log = bytesOf(toLog(textOf(bytes)));
  for (const input of [bytes, log]) {
    const whole = run(input);
    for (const pieces of [[1], [7, 1000, 3], [65_536]]) {
      assert.deepEqual(run(input, DEFAULT_CONFIG, pieces), whole);
    }
  }
});

Deno.test("replay: a stream without banner, and one that begins within a message", () => {
  const { bytes } = recording("pjsip-udp-wrong-password.ami");
  const text = textOf(bytes);
  const expected = blockedIn(bytes);
  assert.deepEqual(blockedIn(bytesOf(text.slice(text.indexOf("Response: ")))), expected);
  assert.deepEqual(blockedIn(bytesOf(text.slice(text.indexOf("Event: ")))), expected);
  const within = text.indexOf("Severity: ");
  assert.deepEqual(blockedIn(bytesOf(text.slice(within))), expected);
});

Deno.test("replay: what is no recording is refused, with the reason", () => {
  const refused = (text: string, why: RegExp) =>
    assert.throws(() => run(bytesOf(text)), (error) => {
      assert.ok(error instanceof RecordingError);
      assert.match(error.message, why);
      return true;
    }, text);
  refused("", /is empty/);
  refused("hello\n".repeat(20_000), /neither a raw AMI stream nor/);
  refused("\x1f\x8b\x08", /zcat FILE \| ampere --replay -/);
  refused(
    textOf(recording("reload.ami").bytes).replaceAll("\r\n", "\n")
      .replace(/^.*\n/, ""),
    /line ends were changed/,
  );
  refused("[2026-11-22 08:09:09] NOTICE[12] chan_sip.c: hello\n", /neither/);
});

Deno.test("security log: all forms of the beginning of a line", () => {
  const event = SIP_LINE.slice(SIP_LINE.indexOf("SecurityEvent="));
  for (
    const start of [
      "[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: ",
      "[Nov 22 08:09:09] SECURITY[1234] res_security_log.c: ",
      "[2026-11-22 08:09:09.918] SECURITY[1234][C-0000002a] res_security_log.c: ",
      "Nov 22 08:09:09 pbx asterisk[99]: SECURITY[1234]: res_security_log.c:114 in security_event_stasis_cb: ",
      "SECURITY[1234]: res_security_log.c:114 in security_event_stasis_cb: ",
    ]
  ) {
    assert.ok(looksLikeSecurityLog(start + event));
    assert.deepEqual(readLog(start + event).events, [
      "security InvalidPassword SIP 203.0.113.5 ACCOUNT",
    ], start);
  }
  assert.deepEqual(readLog(`[date] NOTICE[1] chan_sip.c: ${event}`).events, []);
  assert.deepEqual(readLog(SIP_LINE.trimEnd()).events.length, 1, "without the last line end");
});

Deno.test("security log: quotes, and elements, in an account name are not believed", () => {
  const line = (account: string) => SIP_LINE.replace("ACCOUNT", () => account);
  assert.deepEqual(readLog(line('a"b')).events, ['security InvalidPassword SIP 203.0.113.5 a"b']);
  // Another's address in front of the true one: charged to the sender, at most.
  const forged = readLog(
    line('x",SessionID="1",LocalAddress="IPV4/UDP/1.2.3.4/1",RemoteAddress="IPV4/UDP/9.9.9.9/5'),
  );
  assert.ok(
    forged.events.every((event) => !event.includes("9.9.9.9") && !event.startsWith("security")),
  );
  const unknown = readLog(line('x",Evil="1'));
  assert.ok(unknown.events.every((event) => !event.startsWith("security")));
});

Deno.test("security log: a line end in an account name cannot make somebody else's event", () => {
  const line = (account: string) => SIP_LINE.replace("ACCOUNT", () => account);
  const end =
    '",SessionID="0x1",LocalAddress="IPV4/UDP/192.0.2.10/5060",RemoteAddress="IPV4/UDP/9.9.9.9/5",' +
    'Challenge="",ReceivedChallenge="",ReceivedHash=""';
  // The true head with a forged end, and the true end behind it as a line of its own.
  for (const account of [`x${end}\n`, `x${end}\r\n`, `x${end}\ny`, `x${end}\n\n\n`]) {
    const { events, tampered } = readLog(line(account));
    assert.ok(events.every((event) => !event.includes("9.9.9.9")), `${events}`);
    assert.ok(tampered.length > 0);
  }
  // A cut line alone is nothing but a wrong answer of its sender.
  assert.deepEqual(readLog(line("x\n")).events, ["doubled RefusedMessage SIP 203.0.113.5 "]);
  // The next true event is read again.
  const after = readLog(line(`x${end}\n`) + SIP_LINE);
  assert.deepEqual(after.events, [
    "doubled RefusedMessage SIP 203.0.113.5 ",
    "security InvalidPassword SIP 203.0.113.5 ACCOUNT",
  ]);
});

Deno.test("security log: a line without end is skipped in bounded memory", () => {
  const { events, tampered } = readLog("x".repeat(1_000_000) + "\n" + SIP_LINE, 4_096);
  assert.deepEqual(events.length, 1);
  assert.deepEqual(tampered, ["oversized"]);
});

Deno.test("security log: events of AMI and of the log are judged alike", () => {
  const ami: string[] = [];
  const reader = new EventReader({
    event: (event, verdict) =>
      ami.push(`${verdict} ${event.kind} ${event.service} ${event.address} ${event.account}`),
    response: () => {},
    banner: () => {},
    tampered: () => {},
  });
  const { bytes } = recording("ami-wrong-login.ami");
  reader.push(bytes);
  reader.end();
  assert.deepEqual(readLog(toLog(textOf(bytes))).events, ami);
});

async function cli(
  files: string[],
  json = false,
): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const code = await replay(
    DEFAULT_CONFIG,
    { files, json, verbose: false },
    (text) => {
      out += text;
      return 0;
    },
    (line) => err += `${line}\n`,
  );
  return { code, out, err };
}

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
      assert.doesNotMatch((await cli([`${folder}/a.ami`], true)).out, /NaN/);
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
