/** The compiled program's status page: what it serves, does and remembers under its permissions. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { selfSigned } from "../support/certificates.ts";
import { until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, blocked } from "./installed.ts";
import { emptyFirewall, makeChain, must, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";
const PAGE = "127.0.0.1:9739";

/** Asks by curl, which is on every machine; gives status and body. */
async function curl(...args: string[]): Promise<{ status: number; body: string }> {
  const { out } = await runToEnd(["curl", "-sk", "-m", "10", "-w", "\n%{http_code}", ...args]);
  const end = out.lastIndexOf("\n");
  return { status: Number(out.slice(end + 1)), body: out.slice(0, end) };
}

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("page: releases and trusts in the real firewall, and all of it outlives a restart", async () => {
    await emptyFirewall();
    await makeChain();
    await using asterisk = new AmiServer();
    const write = (...lines: string[]) =>
      Deno.writeTextFile(CONFIG, [`port = ${asterisk.port}`, "learn = 0", ...lines, ""].join("\n"));
    await write(`page = ${PAGE}`, "page_token_file = /var/lib/ampere/page.token");
    const made = await runToEnd([executable, "--page-token"]);
    const token = made.out.trim();
    assert.match(token, /^[\w-]{43}$/);
    assert.equal((await Deno.stat("/var/lib/ampere/page.token")).mode! & 0o777, 0o600);

    const own = ["-H", `Origin: http://${PAGE}`, "-b", "/run/jar", "-c", "/run/jar"];
    const act = (...fields: string[]) =>
      curl(...own, ...fields.flatMap((field) => ["-d", field]), `http://${PAGE}/actions`);
    {
      await using daemon = new Program([executable]);
      const client = await daemon.alive(asterisk.client());
      await daemon.said(/status page at http:\/\/127\.0\.0\.1:9739\//);
      await attack(client, "203.0.113.66");
      await attack(client, "203.0.113.67");
      await blocked("203.0.113.66", "203.0.113.67");
      const host = await curl(`http://${PAGE}/host/203.0.113.66`);
      assert.match(host.body, /<h1>203\.0\.113\.66 is blocked<\/h1>/);
      assert.equal((await act("action=release", "target=203.0.113.66")).status, 303);
      await blocked("203.0.113.66", "203.0.113.67");
      assert.equal(
        (await curl(...own, "-d", `token=${token}`, `http://${PAGE}/login`)).status,
        303,
      );
      assert.equal((await act("action=release", "target=203.0.113.66")).status, 303);
      await blocked("203.0.113.67");
      const trust = ["action=trust", "length=1h", "target=203.0.113.67"];
      assert.equal((await act(...trust)).status, 303);
      await blocked();
      const block = ["action=block", "length=1h", "target=198.51.100.0/24"];
      assert.equal((await act(...block)).status, 303);
      await blocked("198.51.100.0/24");
      // A reload that changes nothing of the page logs nobody out, and logrotate makes one.
      daemon.signal("SIGHUP");
      await daemon.said(/the configuration was read again/);
      assert.match((await curl(...own, `http://${PAGE}/`)).body, /Log out/);
      await daemon.said(/status page: 127\.0\.0\.1 blocked 198\.51\.100\.0\/24 for /);
      daemon.signal("SIGTERM");
      await daemon.end();
    }
    const listed = await runToEnd([executable, "--trusted"]);
    assert.match(
      listed.out,
      /^203\.0\.113\.67 +for a time, until .* by 127\.0\.0\.1 on the status page/,
    );
    await using daemon = new Program([executable]);
    const client = await daemon.alive(asterisk.client());
    await daemon.said(/status page at/);
    // Attempts and blocks of the life before are counted still.
    const first = (await curl(`http://${PAGE}/`)).body;
    assert.match(first, /Failed attempts in the last hour<\/p><b *>[1-9]/);
    assert.match(first, /[1-9]\d* made in the last hour/);
    await attack(client, "203.0.113.67");
    await daemon.said(/203\.0\.113\.67/);
    await blocked("198.51.100.0/24");
    assert.ok(!daemon.text.includes(token), daemon.text);
  });

  Deno.test("page: by TLS with files of /etc/ampere; a name beyond loopback needs a token", async () => {
    await emptyFirewall();
    await makeChain();
    await using asterisk = new AmiServer();
    const { certificate, key } = await selfSigned();
    await Deno.writeTextFile("/etc/ampere/page.crt", certificate);
    const lines = [
      `port = ${asterisk.port}`,
      "page = 0.0.0.0:9739",
      "page_cert = /etc/ampere/page.crt",
      "page_key = /etc/ampere/page.key",
    ];
    await Deno.writeTextFile(CONFIG, lines.join("\n"));
    const refused = await runToEnd([executable]);
    assert.equal(refused.code, 1);
    assert.match(
      refused.err,
      /^\/etc\/ampere\/ampere\.cfg:2: page: at 0\.0\.0\.0 others can reach/m,
    );
    await Deno.writeTextFile(
      CONFIG,
      [...lines, "page_token_file = /var/lib/ampere/page.token", ""].join("\n"),
    );
    const { out: lists } = await runToEnd([executable, "--page-token", "lists"]);
    await runToEnd([executable, "--page-token"]);
    await using daemon = new Program([executable]);
    await daemon.alive(asterisk.client());
    await daemon.said(/no status page at https:.*page\.key: there is no such file\. Fix: /);
    await Deno.writeTextFile("/etc/ampere/page.key", key, { mode: 0o600 });
    daemon.signal("SIGHUP");
    await daemon.said(/info: status page at https:\/\/0\.0\.0\.0:9739\//);
    const page = `https://${PAGE}`;
    await until("it answers", async () => (await curl(`${page}/`)).status === 303);
    assert.equal((await curl(`${page}/blocks.txt`)).status, 401);
    const got = await curl("-u", `any:${lists.trim()}`, `${page}/blocks.txt`);
    assert.equal(got.status, 200);
    assert.match((await curl(`${page}/login`)).body, /<h1>Log in<\/h1>/);
    assert.equal((await curl(`http://${PAGE}/`)).status, 0);
  });

  Deno.test("page: --check names what keeps it from being served, and what it advises helps", async () => {
    await emptyFirewall();
    await makeChain();
    await using asterisk = new AmiServer();
    const lines = [`port = ${asterisk.port}`, `page = ${PAGE}`];
    await Deno.writeTextFile(CONFIG, [...lines, ""].join("\n"));
    const pageRows = async () => {
      const { out } = await runToEnd([executable, "--check"]);
      return out.split("\n").join(" ").match(/(?:ok|warning|problem) +page .*?(?= {2}daemon|$)/)
        ?.[0] ??
        out;
    };
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 9739 });
    await using daemon = new Program([executable]);
    await daemon.alive(asterisk.client());
    await daemon.said(/no status page at .* another program has 127\.0\.0\.1 port 9739\. Fix: ss /);
    const status = await runToEnd([executable, "--status"]);
    assert.match(status.out, /^Page +not served at http:\/\/127\.0\.0\.1:9739\/: another program/m);
    assert.match(
      await pageRows(),
      /another program has .* fix: ss -ltnp 'sport = :9739' names it;/,
    );
    const { out: named } = await runToEnd(["ss", "-ltnp", "sport = :9739"]);
    assert.match(named, new RegExp(`pid=${Deno.pid},`));
    listener.close();
    assert.match(await pageRows(), /the daemon does not serve it: .*systemctl reload ampere/);
    daemon.signal("SIGHUP");
    await daemon.said(/info: status page at http/);
    assert.match(await pageRows(), /it is served at http:\/\/127\.0\.0\.1:9739\//);
    assert.match(
      (await runToEnd([executable, "--status"])).out,
      /^Page +http:\/\/127\.0\.0\.1:9739\/$/m,
    );

    const withToken = [...lines, "page_token_file = /var/lib/ampere/page.token", ""];
    await Deno.writeTextFile(CONFIG, withToken.join("\n"));
    await Deno.remove("/var/lib/ampere/page.token").catch(() => {});
    assert.match(
      await pageRows(),
      /no such file, so nobody can act on it +fix: ampere --page-token/,
    );
    await runToEnd([executable, "--page-token"]);
    assert.match(await pageRows(), /ok +page +\/var\/lib\/ampere\/page\.token holds the token/);
  });

  Deno.test("page: hostile visitors hold up no block, take no files, and leave the page to others", async () => {
    await emptyFirewall();
    await makeChain();
    await must("ip", "address", "add", "192.0.2.77/32", "dev", "lo");
    await using asterisk = new AmiServer();
    const { out: token } = await runToEnd([executable, "--page-token"]);
    const lines = ["page = 0.0.0.0:9739", "page_token_file = /var/lib/ampere/page.token"];
    await Deno.writeTextFile(CONFIG, [`port = ${asterisk.port}`, ...lines, ""].join("\n"));
    await using daemon = new Program([executable]);
    const client = await daemon.alive(asterisk.client());
    await daemon.said(/status page at/);
    const files = () => [...Deno.readDirSync(`/proc/${daemon.pid}/fd`)].length;
    const before = files();
    // By the address that others have, as they come from there.
    const hostile = Array.from({ length: 200 }, (_, n) => {
      const socket = connect({ host: "192.0.2.77", port: 9739, localAddress: "192.0.2.77" });
      socket.on("error", () => {});
      socket.on("connect", () => {
        if (n % 4 === 1) socket.write("GET /" + "a".repeat(20_000));
        if (n % 4 === 2) socket.write("GET /login HTTP/1.1\r\nHost: 192.0.2.77\r\n\r\n".repeat(50));
        if (n % 4 === 3) {
          socket.write("POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n");
        }
      });
      // Those who do not read.
      if (n % 2 === 0) socket.pause();
      return socket;
    });
    let loads = 0;
    let isOver = false;
    const loading = Promise.all(Array.from({ length: 4 }, async () => {
      while (!isOver) {
        await fetch("http://192.0.2.77:9739/login").then((answer) => answer.text()).catch(() => {});
        loads++;
      }
    }));
    const targets = Array.from({ length: 20 }, (_, n) => `203.0.113.${n + 1}`);
    for (const target of targets) await attack(client, target);
    // What the tests above have blocked stays.
    await blocked("198.51.100.0/24", ...targets);
    // From elsewhere there is room.
    const own = ["-H", `Origin: http://${PAGE}`, "-b", "/run/jar", "-c", "/run/jar"];
    const login = await curl(...own, "-d", `token=${token.trim()}`, `http://${PAGE}/login`);
    assert.equal(login.status, 303);
    const { body } = await curl(...own, `http://${PAGE}/blocks`);
    assert.match(body, /<h1>Blocks<\/h1>[\s\S]*1 to 21 of 21/);
    assert.ok(files() - before < 64 + 192 + 20, `${files()} files, ${before} before`);
    isOver = true;
    await loading;
    assert.ok(loads > 0);
    for (const socket of hostile) socket.destroy();
    await until("nothing of them is left", () => files() <= before + 2);
    await must("ip", "address", "del", "192.0.2.77/32", "dev", "lo");
  });
});
