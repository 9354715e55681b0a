/**
 * What all pages have in common.
 *
 * @module
 */

import { formatLocalTime } from "../text/time.ts";
import { VERSION } from "../version.ts";
import type { Answer } from "./http.ts";
import { Html, markup, NOTHING } from "./html.ts";
import { TooLongError } from "./scan.ts";

/** Who looks at a page. */
export interface Visitor {
  /** They may act. */
  readonly isLoggedIn: boolean;
  /** Why nobody can log in; `undefined` if somebody can. */
  readonly obstacle: string | undefined;
}

/** A page. */
interface PageParts {
  readonly title: string;
  /** Which of the links at the top it is. */
  readonly place?: "/" | "/blocks" | undefined;
  readonly visitor: Visitor;
  /** What takes time to be made is begun when the rest is on its way. */
  readonly main: Html | (() => Promise<Html>);
  /** Rows come in by themselves. */
  readonly isLive?: boolean;
}

/** The headers of everything that is answered. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; " +
    "frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  // Not no-referrer: with that a form does not tell from which page it was sent.
  "Referrer-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
};

/**
 * A page as an answer.
 *
 * @param parts The page.
 * @param status The status of HTTP. @default {200}
 */
export function pageAnswer(parts: PageParts, status = 200): Answer {
  const { main } = parts;
  const type = "text/html; charset=utf-8";
  if (main instanceof Html) return { status, type, body: above(parts) + main.text + below() };
  return { status, type, body: inPieces(above(parts), main) };
}

async function* inPieces(top: string, main: () => Promise<Html>): AsyncGenerator<string> {
  yield top;
  yield (await main().catch(broken)).text + below();
}

/** What has begun as a page cannot end as another answer. */
function broken(error: unknown): Html {
  const words = error instanceof TooLongError
    ? "This takes too long now: there are many events, or many visitors. Try it again in a moment."
    : "Something went wrong; the log of Ampere tells what.";
  return markup`<p class="note bad" role="alert">${words}</p>`;
}

function above({ title, place, visitor, isLive = false }: PageParts): string {
  const links = [["/", "Overview"], ["/blocks", "Blocks"]] as const;
  const nav = links.map(([href, words]) => {
    const current = href === place ? markup` aria-current="page"` : NOTHING;
    return markup`<a href="${href}"${current}>${words}</a>`;
  });
  const status = isLive ? markup`<span id="live" role="status"></span>` : NOTHING;
  const script = isLive ? markup`<script src="/page.js" defer></script>` : NOTHING;
  return markup`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <title>${title} – Ampere</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="icon" href="/icon.svg">
        <link rel="stylesheet" href="/page.css">${script}
      </head>
      <body>
        <a class="skip" href="#main">To the content</a>
        <header>
          <strong>Ampere</strong><nav aria-label="Pages">${nav}</nav>${status}${loginPart(visitor)}
        </header>
        <main id="main">
  `.text;
}

function below(): string {
  return markup`
        </main>
        <footer>Ampere ${VERSION}; ${timeOf(Date.now())}, the time of this machine</footer>
      </body>
    </html>
  `.text;
}

function loginPart({ isLoggedIn, obstacle }: Visitor): Html {
  if (isLoggedIn) {
    return markup`<form method="post" action="/logout"><button>Log out</button></form>`;
  }
  return obstacle === undefined
    ? markup`<a href="/login">Log in</a>`
    : markup`<span>read-only</span>`;
}

/**
 * A moment.
 *
 * @param at Milliseconds since 1970.
 */
export function timeOf(at: number): Html {
  // A Date holds no more, and a block may last longer.
  const moment = new Date(at);
  const iso = Number.isNaN(moment.getTime()) ? "" : moment.toISOString();
  return markup`<time datetime="${iso}">${formatLocalTime(at)}</time>`;
}

/**
 * A target with the way to its page.
 *
 * @param target Canonical address or network.
 */
export function hostLink(target: string): Html {
  return markup`<a href="/host/${target}">${target}</a>`;
}

/**
 * Rows as a table whose first column says what the others are.
 *
 * @param rows Each with two texts; an empty first one belongs to that before.
 */
export function storyTable(rows: readonly (readonly string[])[]): Html {
  const groups: [name: string, words: string[]][] = [];
  for (const [name = "", words = ""] of rows) {
    if (name === "" && groups.length > 0) groups.at(-1)![1].push(words);
    else groups.push([name, [words]]);
  }
  const lines = groups.map(([name, words]) =>
    markup`
      <tr>
        <th scope="row">${name}</th>
        <td>${
      words.map((one, index) =>
        markup`
            ${index === 0 ? NOTHING : markup`<br>`}${one}
          `
      )
    }</td>
      </tr>
    `
  );
  return markup`<table class="story"><tbody>${lines}</tbody></table>`;
}

/**
 * Rows as a table, the first of them with what stands in each column.
 *
 * @param caption What it shows.
 * @param rows The texts.
 */
export function textTable(caption: string, [heads = [], ...rows]: readonly string[][]): Html {
  const head = heads.map((name) => markup`<th scope="col">${name}</th>`);
  const lines = rows.map((row) =>
    markup`
      <tr>${row.map((text) => markup`<td>${text}</td>`)}</tr>
    `
  );
  return markup`
    <div class="scroll" role="region" aria-label="${caption}" tabindex="0">
      <table>
        <caption>${caption}</caption>
        <thead><tr>${head}</tr></thead>
        <tbody>${lines}</tbody>
      </table>
    </div>
  `;
}
