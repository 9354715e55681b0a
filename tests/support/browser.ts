/** Debian's Chromium, for pages of this machine alone. */

import assert from "node:assert/strict";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

/** Whether there is a browser. */
export const hasBrowser = exists(CHROMIUM);

/** A page in the browser, and what went wrong in it. */
export interface Visit {
  readonly page: Page;
  /** Errors and warnings of the console, exceptions, and requests to elsewhere. */
  readonly faults: string[];
}

/** Starts the browser; it ends with the test. */
export async function startBrowser(): Promise<Browser & AsyncDisposable> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
  });
  return Object.assign(browser, { [Symbol.asyncDispose]: () => browser.close() });
}

/**
 * A new window with its own cookies.
 *
 * @param browser The browser.
 * @param url The page's own address; a request to elsewhere is a fault.
 * @param options Of the window.
 */
export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    // That an answer says no is what some tests ask for.
    if (/status of (403|409|429|404|421)/.test(message.text())) return;
    faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => void faults.push(`exception: ${error.message}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${url}/`)) faults.push(`request to ${request.url()}`);
  });
  await page.goto(`${url}/`);
  return { page, faults };
}

/** What axe says of a page. */
interface Found {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
  readonly passes: readonly unknown[];
}

/** What axe finds wrong in a page, as texts. */
export async function findBarriers(page: Page): Promise<string[]> {
  // By the protocol of the browser: the page itself lets no script in.
  await page.evaluate(axe.source);
  const found = await page.evaluate<Found>(
    'axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] })',
  );
  assert.ok(found.passes.length > 10, "axe looked at nothing");
  return found.violations.map(({ id, help, nodes }) =>
    `${id}: ${help}: ${nodes.slice(0, 3).map(({ html }) => html).join(" | ")}`
  );
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
