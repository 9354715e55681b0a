/**
 * What the keys of the status page say together.
 *
 * @module
 */

import { isLoopback } from "../address/address.ts";
import type { Config } from "./config.ts";
import { HOST_LENGTH_MAX, HOST_NAME } from "./trust_entry.ts";
import { shown } from "./shown_value.ts";

/** Most names of `page_name`. */
const NAMES_MAX = 8;

/** The page, as those need it who serve it. */
export interface PageConfig {
  readonly hostname: string;
  readonly port: number;
  /** Names by which it may be asked for, beside addresses and `localhost`; in small letters. */
  readonly names: readonly string[];
  readonly tokenFile: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** It is spoken to by TLS. */
  readonly isByTls: boolean;
  /** Others than users of this machine may come: nobody reads without having logged in. */
  readonly isOpenToOthers: boolean;
}

/**
 * The page of a configuration.
 *
 * @param config The configuration.
 * @returns `undefined` if there is none.
 */
export function pageOf(config: Config): PageConfig | undefined {
  const { page, pageNames, pageTokenFile, pageCert, pageKey } = config;
  if (page === undefined) return undefined;
  const { hostname, port } = page;
  return {
    hostname,
    port,
    names: pageNames,
    tokenFile: pageTokenFile,
    cert: pageCert,
    key: pageKey,
    isByTls: pageCert !== undefined,
    isOpenToOthers: !isOnlyHere(hostname) || pageNames.length > 0,
  };
}

/**
 * Reads the value of `page_name`.
 *
 * @param value Names with commas between them.
 * @param take Takes them.
 * @returns What is wrong; `undefined` if nothing is.
 */
export function readPageNames(
  value: string,
  take: (names: readonly string[]) => void,
): string | undefined {
  const names = value.split(",").map((name) => name.trim().toLowerCase().replace(/\.$/, ""));
  if (names.length > NAMES_MAX) return `more than ${NAMES_MAX} names`;
  const wrong = names.find((name) =>
    name.length > HOST_LENGTH_MAX || !HOST_NAME.test(name) || /^[0-9.]+$/.test(name)
  );
  if (wrong !== undefined) {
    return `${
      shown(wrong)
    } is not a host name, such as pbx.example.org, without https:// and port; ` +
      "several have commas between them";
  }
  take([...new Set(names)]);
  return undefined;
}

/**
 * What of the keys of the page does not fit together.
 *
 * @param config The configuration.
 * @returns Each with its key and what is wrong; a doubt is none that keeps the program from
 *   starting.
 */
export function unfitPage(
  config: Config,
): { readonly key: string; readonly message: string; readonly isDoubt: boolean }[] {
  const { pageCert, pageKey, pageNames, pageTokenFile } = config;
  const page = pageOf(config);
  const found: { key: string; message: string; isDoubt: boolean }[] = [];
  const problem = (key: string, message: string) => found.push({ key, message, isDoubt: false });
  const doubt = (key: string, message: string) => found.push({ key, message, isDoubt: true });
  if ((pageCert === undefined) !== (pageKey === undefined)) {
    const [there, missing] = pageKey === undefined
      ? ["page_cert", "page_key"]
      : ["page_key", "page_cert"];
    problem(there, `needs ${missing} too: the certificate, and the key that belongs to it`);
  }
  if (page === undefined) {
    const lone = [
      ["page_name", pageNames.length > 0],
      ["page_token_file", pageTokenFile !== undefined],
      ["page_cert", pageCert !== undefined],
    ] as const;
    for (const [key, isSet] of lone) {
      if (isSet) doubt(key, "has no effect without page = ADDRESS:PORT");
    }
    return found;
  }
  if (!page.isOpenToOthers) return found;
  const isNamed = isOnlyHere(page.hostname);
  const where = isNamed ? "with page_name" : `at ${page.hostname}`;
  if (pageTokenFile === undefined) {
    problem(
      isNamed ? "page_name" : "page",
      `${where} others can reach the page, so it needs a token: run ampere --page-token, which says ` +
        "what to write here; and TLS: page_cert and page_key. Or keep it at 127.0.0.1, and reach " +
        "it by ssh -L",
    );
  } else if (!page.isByTls && !isNamed) {
    doubt(
      "page",
      `${where} the token and what the page tells cross the network in plain text: set page_cert ` +
        "and page_key, or keep it at 127.0.0.1 behind a web server that speaks TLS",
    );
  }
  return found;
}

function isOnlyHere(hostname: string): boolean {
  return hostname === "localhost" || isLoopback(hostname);
}
