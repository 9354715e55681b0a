/** The status page in Debian's Chromium: what people see and do, by hand, and in the dark. */

import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { BlockDatabase } from "../../src/blocks/database.ts";
import type { NewBlock } from "../../src/blocks/block.ts";
import { openPage } from "../../src/page/page.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { findBarriers, hasBrowser, startBrowser, type Visit, visit } from "../support/browser.ts";
import { until } from "../support/namespace.ts";
import { type PageBench, withPage } from "../support/page.ts";

/** Names that would be more than text, if a page let them. */
const HOSTILE = ["<b>x</b>", '"><i>y</i>', "'><u>z</u>", "&lt;s&gt;"];

/** With this option pictures for the documentation are made: `AMPERE_PICTURES=1 deno test …`. */
const PICTURES = Deno.env.has("AMPERE_PICTURES")
  ? new URL("../../docs/", import.meta.url).pathname
  : undefined;

const browserTest = (name: string, run: () => Promise<void>) =>
  Deno.test({
    name: `${name}${hasBrowser ? "" : " (left out: no /usr/bin/chromium)"}`,
    ignore: !hasBrowser,
    // The browser is a process of its own.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: run,
  });

browserTest("page in a browser: live rows arrive, and strangers' names are text", async () => {
  await using browser = await startBrowser();
  await withPage({}, async ({ url, asterisk, list }) => {
    const { page, faults } = await visit(browser, url);
    await page.getByText("live", { exact: true }).waitFor();
    assert.equal(await page.locator("#rows tr").count(), 0);
    for (const [n, account] of HOSTILE.entries()) {
      for (let i = 0; i < 3; i++) {
        await asterisk.send(wrongAnswer(`203.0.113.${n + 1}`, { account }));
      }
    }
    await until("all are blocked", () => list.size === HOSTILE.length);
    // Nobody loads the page again.
    await page.locator(`#rows tr:nth-child(${HOSTILE.length})`).waitFor();
    for (const n of HOSTILE.keys()) {
      await page.locator("#rows").getByText(`203.0.113.${n + 1}`, { exact: true }).waitFor();
    }
    // Asterisk's text has one byte a character; a list from elsewhere has all of Unicode.
    using database = BlockDatabase.open(list.path);
    database.add([blockOf("203.0.113.200", Date.now(), "\u202e<em>w</em>")]);
    await page.locator("#rows").getByText("\\u202e<em>w</em>", { exact: true }).waitFor();
    await page.locator("#tiles li", { hasText: "made in the last hour" })
      .getByText("5", { exact: true }).waitFor();
    for (const path of ["/", "/blocks", "/host/203.0.113.1", "/host/203.0.113.2"]) {
      await page.goto(url + path);
      const foreign = await page.locator("main :is(b:not(.tiles b), i, u, s, em)").count();
      assert.equal(foreign, 0, path);
    }
    await page.goto(`${url}/host/203.0.113.1`);
    assert.match(await page.innerText("main"), /"<b>x<\/b>"/);
    assert.deepEqual(faults, []);
  });
});

browserTest(
  "page in a browser: after a restart it is live again, and what was missed is there",
  async () => {
    await using browser = await startBrowser();
    await withPage({}, async ({ url, list, daemon, page: served }) => {
      const { page } = await visit(browser, url);
      await page.getByText("live", { exact: true }).waitFor();
      await served.stop();
      await page.getByText("not live: connecting", { exact: true }).waitFor();
      {
        using database = BlockDatabase.open(list.path);
        database.add([blockOf("203.0.113.201", Date.now(), "missed")]);
      }
      await until("the daemon has it", () => list.get("203.0.113.201") !== undefined);
      assert.equal(await page.locator("#rows tr").count(), 0);
      const log = { info: () => {}, warn: () => {}, limited: () => {} };
      const again = await openPage(daemon, log);
      try {
        await page.getByText("live", { exact: true }).waitFor();
        await page.locator("#rows").getByText("203.0.113.201", { exact: true }).waitFor();
      } finally {
        await again.stop();
      }
    });
  },
);

browserTest("page in a browser: searching and acting need no mouse", async () => {
  await using browser = await startBrowser();
  await withPage({}, async (bench) => {
    const { page, faults } = await visit(browser, bench.url);
    await logIn(page, bench);
    await page.goto(`${bench.url}/blocks`);
    await tabTo(page, "#q");
    await page.keyboard.type("198.51.100.2");
    await page.keyboard.press("Enter");
    await page.getByText("1 to 1 of 1").first().waitFor();
    await tabTo(page, '#rows a[href="/host/198.51.100.2"]');
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "198.51.100.2 is blocked" }).waitFor();
    await tabTo(page, 'button[value="release"]');
    await page.keyboard.press("Enter");
    await page.getByText("Released.").waitFor();
    assert.equal(bench.list.get("198.51.100.2"), undefined);
    assert.deepEqual(faults, []);
  }, (path) => fill(path, 5));
});

browserTest("page in a browser: search, and the way through the pages of the list", async () => {
  await using browser = await startBrowser();
  await withPage({}, async ({ url }) => {
    const { page, faults } = await visit(browser, url);
    await page.getByRole("link", { name: "Blocks", exact: true }).click();
    assert.equal(await page.locator("#rows tr").count(), 100);
    assert.match(await page.innerText("main"), /1 to 100 of 250/);
    const firsts = await page.locator("#rows th").allInnerTexts();
    assert.equal(firsts[0], "198.51.100.249");
    await page.getByRole("link", { name: "Older" }).click();
    await page.getByRole("link", { name: "Older" }).click();
    assert.match(await page.innerText("main"), /201 to 250 of 250/);
    assert.equal(await page.getByRole("link", { name: "Older" }).count(), 0);
    await page.getByRole("link", { name: "Newer" }).click();
    assert.match(await page.innerText("main"), /101 to 200 of 250/);
    await page.getByRole("link", { name: "First" }).click();
    assert.deepEqual(await page.locator("#rows th").allInnerTexts(), firsts);
    const searches: [text: string, field: string, found: number][] = [
      ["198.51.100.7", "anything", 1],
      ["198.51.100.16/28", "address", 16],
      ["user17", "account", 11],
      ["WRONG passwords", "reason", 250],
      ["user17", "address", 0],
      ["<b>", "anything", 0],
    ];
    for (const [text, field, found] of searches) {
      await page.getByLabel("Search").fill(text);
      await page.getByLabel("in", { exact: true }).selectOption(field);
      await page.getByRole("button", { name: "Search" }).click();
      await page.getByText(`${found} block`, { exact: false }).first().waitFor();
      assert.equal(await page.locator("#rows tr").count(), Math.min(100, found), text);
      assert.equal(await page.getByLabel("Search").inputValue(), text);
    }
    assert.deepEqual(faults, []);
  }, (path) => fill(path, 250));
});

browserTest("page in a browser: who has the token releases, blocks and trusts", async () => {
  await using browser = await startBrowser();
  await withPage({}, async (bench) => {
    const { url, list, daemon, lines, folder } = bench;
    const { page, faults } = await visit(browser, url);
    await page.goto(`${url}/host/198.51.100.3`);
    assert.equal(await page.getByRole("button", { name: "Release" }).count(), 0);
    await logIn(page, bench, "not the token");
    await page.getByText("That is not the token.").waitFor();
    await logIn(page, bench);
    await page.goto(`${url}/host/198.51.100.3`);
    await page.getByRole("button", { name: "Release" }).click();
    await page.getByText("Released.").waitFor();
    assert.equal(list.get("198.51.100.3"), undefined);
    await page.getByLabel("Block for").selectOption("6h");
    await page.getByRole("button", { name: "Block", exact: true }).click();
    await page.getByText("Blocked.").waitFor();
    const left = list.get("198.51.100.3")!.until! - Date.now();
    assert.ok(left > 5.9 * 3_600_000 && left <= 6 * 3_600_000, String(left));
    // Who is trusted is released, as by the trust file, and can't be blocked.
    await page.getByLabel("Trust for").selectOption("1h");
    await page.getByRole("button", { name: "Trust", exact: true }).click();
    await page.getByText("Trusted for a time: it is not blocked").waitFor();
    await until("it is released", () => list.get("198.51.100.3") === undefined);
    assert.ok(daemon.neverBlocked.some(({ target }) => target === "198.51.100.3"));
    await page.getByRole("button", { name: "Block", exact: true }).click();
    await page.getByText(/Not done: 198\.51\.100\.3 is trusted/).waitFor();
    const file = await Deno.readTextFile(`${folder}/ampere.db-trust`);
    assert.match(file, /^198\.51\.100\.3 until \S+Z # by 127\.0\.0\.1 on the status page$/m);
    await page.goto(`${url}/`);
    await page.getByRole("button", { name: "Stop trusting 198.51.100.3" }).click();
    await page.getByText("Not trusted any more.").waitFor();
    assert.ok(!daemon.neverBlocked.some(({ target }) => target === "198.51.100.3"));
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("link", { name: "Log in" }).waitFor();
    const told = lines.join("");
    for (const what of ["released", "blocked", "trusted", "stopped trusting"]) {
      assert.match(
        told,
        new RegExp(`info: status page: 127\\.0\\.0\\.1 ${what} 198\\.51\\.100\\.3`),
      );
    }
    assert.match(told, /warn: status page: 127\.0\.0\.1 gave a wrong token/);
    assert.ok(!told.includes(bench.token));
    assert.deepEqual(faults, []);
  }, (path) => fill(path, 5));
});

browserTest("page in a browser: no barriers, in light, in the dark and on a phone", async () => {
  await using browser = await startBrowser();
  await withPage({}, async (bench) => {
    const { url, asterisk, list } = bench;
    for (let n = 1; n <= 9; n++) {
      for (let i = 0; i < 3; i++) {
        await asterisk.send(wrongAnswer(`203.0.113.${n}`, { account: `10${n}` }));
      }
    }
    await until("they are blocked", () => list.size >= 129);
    const looks = {
      light: { colorScheme: "light", viewport: { width: 1100, height: 800 } },
      dark: { colorScheme: "dark", viewport: { width: 1100, height: 800 } },
      phone: { colorScheme: "light", viewport: { width: 360, height: 740 } },
    } as const;
    const backs = new Set<string>();
    for (const [look, options] of Object.entries(looks)) {
      const seen = await visit(browser, url, options);
      const { page, faults } = seen;
      await logIn(page, bench);
      const paths = ["/", "/?range=90d", "/blocks", "/host/203.0.113.5", "/login", "/nothing"];
      for (const path of paths) {
        await page.goto(url + path);
        assert.deepEqual(await findBarriers(page), [], `${look} ${path}`);
        const [wide, seenWide] = await page.evaluate<number[]>(
          "[document.documentElement.scrollWidth, innerWidth]",
        );
        assert.ok(wide! <= seenWide!, `${look} ${path}: ${wide} of ${seenWide}`);
        await takePicture(seen, look, path);
      }
      backs.add(await page.evaluate<string>("getComputedStyle(document.body).backgroundColor"));
      assert.deepEqual(faults, []);
    }
    assert.equal(backs.size, 2, "the dark is not dark");
    // By the keyboard alone: the first stop leads past what is at the top.
    const { page } = await visit(browser, url);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "To the content");
    await page.keyboard.press("Enter");
    assert.equal(new URL(page.url()).hash, "#main");
  }, (path) => {
    fill(path, 120);
    fillPast(path);
  });
});

browserTest("page in a browser: without JavaScript everything is there", async () => {
  await using browser = await startBrowser();
  await withPage({}, async (bench) => {
    const { url, list } = bench;
    const { page, faults } = await visit(browser, url, { javaScriptEnabled: false });
    assert.equal(await page.locator("#rows tr").count(), 20);
    await page.getByRole("link", { name: "All blocks" }).click();
    await page.getByRole("link", { name: "198.51.100.29", exact: true }).click();
    await logIn(page, bench);
    await page.goto(`${url}/host/198.51.100.29`);
    await page.getByRole("button", { name: "Release" }).click();
    await page.getByText("Released.").waitFor();
    assert.equal(list.get("198.51.100.29"), undefined);
    assert.deepEqual(faults, []);
  }, (path) => fill(path, 30));
});

browserTest("page in a browser: another page can neither frame it nor send its forms", async () => {
  await using browser = await startBrowser();
  await withPage({}, async (bench) => {
    const { url, list } = bench;
    // Another port of this machine is the same site to a cookie.
    await using other = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () =>
        new Response(
          `<iframe src="${url}/"></iframe><form method="post" action="${url}/actions">
           <input name="target" value="198.51.100.1"><button name="action" value="release">go</button></form>`,
          { headers: { "content-type": "text/html" } },
        ),
    );
    const { page } = await visit(browser, url);
    await logIn(page, bench);
    await page.goto(`http://127.0.0.1:${(other.addr as Deno.NetAddr).port}/`);
    const frame = page.frames()[1]!;
    assert.ok(!(await frame.content()).includes("Overview"));
    await page.getByRole("button", { name: "go" }).click();
    await page.getByText("This form was not sent by a page of this server.").waitFor();
    assert.ok(list.get("198.51.100.1") !== undefined);
  }, (path) => fill(path, 3));
});

/** Goes on by the key for that until something has the focus, and shows it. */
async function tabTo(page: Page, selector: string): Promise<void> {
  const looks = JSON.stringify(selector);
  for (let stops = 0; stops < 40; stops++) {
    await page.keyboard.press("Tab");
    const [isThere, outline] = await page.evaluate<[boolean, string]>(
      `[document.activeElement.matches(${looks}), getComputedStyle(document.activeElement).outlineStyle]`,
    );
    if (!isThere) continue;
    assert.notEqual(outline, "none", `nobody sees that ${selector} has the focus`);
    return;
  }
  throw new Error(`no way to ${selector} by the keyboard`);
}

async function logIn(page: Page, { url, token }: PageBench, given = token): Promise<void> {
  await page.goto(`${url}/login`);
  await page.getByLabel("Token").fill(given);
  await page.getByRole("button", { name: "Log in" }).click();
  if (given === token) await page.getByRole("button", { name: "Log out" }).waitFor();
}

/** Writes blocks, one a second, the last one a second ago. */
function fill(path: string, count: number): void {
  using list = BlockDatabase.open(path);
  const begin = Date.now() - count * 1_000;
  list.add(
    Array.from(
      { length: count },
      (_, n) => blockOf(`198.51.100.${n}`, begin + n * 1_000, `user${n}`, n % 2 === 0),
    ),
  );
}

/** Writes what happened within a day: attempts by kind, logins, blocks, their ends, latencies. */
function fillPast(path: string): void {
  using list = BlockDatabase.open(path);
  const minute = Math.floor(Date.now() / 60_000);
  const rows = Array.from({ length: 1_400 }, (_, n) => {
    const wave = Math.max(0, Math.sin(n / 150) + Math.sin(n / 37) / 2);
    const some = (most: number) => Math.round(most * wave);
    const blocks = some(4);
    return {
      step: 60,
      at: (minute - 1 - n) * 60_000,
      counts: [some(24), some(9), some(3), 0, some(2), blocks, some(3), 0, blocks, some(2)],
    };
  });
  list.counts.save(rows, []);
}

function blockOf(target: string, since: number, account: string, isForEver = false): NewBlock {
  return {
    target,
    since,
    until: isForEver ? undefined : since + 86_400_000,
    reason: `3 wrong passwords, last account "${account}"`,
    service: "PJSIP",
    transport: "UDP",
    account,
  };
}

async function takePicture({ page }: Visit, look: string, path: string): Promise<void> {
  if (PICTURES === undefined) return;
  const names: Readonly<Record<string, string>> = {
    "light /": "page-overview",
    "dark /": "page-dark",
    "phone /": "page-phone",
    "light /host/203.0.113.5": "page-host",
  };
  const name = names[`${look} ${path}`];
  if (name === undefined) return;
  const file = `${PICTURES}${name}.png`;
  await page.screenshot({ path: file });
}
