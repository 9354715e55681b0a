/**
 * Gets real Asterisk servers for the tests in `tests/live`: the file systems of two Debian
 * releases, with Asterisk installed.
 *
 * ```sh
 * deno task asterisk                     # into $AMPERE_ASTERISK, or /var/cache/ampere-asterisk
 * deno task asterisk --dir=/srv/asterisk # elsewhere; tell the tests by AMPERE_ASTERISK
 * ```
 *
 * @module
 */

import { provideAll, rootOf as rootIn, type System } from "./debian.ts";

/** A server that the tests know. */
export interface Server extends System {
  /** Major version of Asterisk, at least: Debian's sid moves on. */
  readonly version: number;
  /** The SIP channel drivers that it has. */
  readonly drivers: readonly ("PJSIP" | "chan_sip")[];
}

const ASTERISK = { packages: ["asterisk"], proof: "usr/sbin/asterisk" } as const;

/** The oldest Asterisk of Debian that has both SIP drivers, and the newest there is. */
export const SERVERS: { readonly old: Server; readonly current: Server } = {
  old: { ...ASTERISK, suite: "bullseye", version: 16, drivers: ["PJSIP", "chan_sip"] },
  current: { ...ASTERISK, suite: "sid", version: 22, drivers: ["PJSIP"] },
};

/** Where the file systems are unless `AMPERE_ASTERISK` says otherwise. */
const DEFAULT_FOLDER = "/var/cache/ampere-asterisk";

/** Where the file systems of the servers are. */
function serversFolder(): string {
  return Deno.env.get("AMPERE_ASTERISK") || DEFAULT_FOLDER;
}

/**
 * The file system of a server.
 *
 * @param server which
 * @returns its root, or `undefined` when it has not been made
 */
export function rootOf(server: Server): string | undefined {
  return rootIn(server, serversFolder());
}

if (import.meta.main) {
  const systems = Object.values(SERVERS).map((server: Server) =>
    [`Asterisk ${server.version} (Debian ${server.suite})`, server] as const
  );
  Deno.exit(await provideAll("asterisk", new Map(systems), serversFolder(), Deno.args));
}
