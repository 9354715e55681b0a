/**
 * The recordings of real Asterisk servers in testdata/recordings, with what is known about the
 * senders.
 */

const FOLDER = new URL("../testdata/recordings/", import.meta.url);

/** What is known about one recording. */
export interface Truth {
  title: string;
  asterisk: string;
  attackers: string[];
  legit: string[];
  events: Record<string, number>;
}

export interface Recording extends Truth {
  name: string;
  bytes: Uint8Array;
}

/** All recordings, by name. */
export function recordings(): Recording[] {
  const index: Record<string, Truth> = JSON.parse(
    Deno.readTextFileSync(new URL("index.json", FOLDER)),
  );
  return Object.keys(index).sort().map((name) => ({
    ...index[name]!,
    name,
    bytes: Deno.readFileSync(new URL(name, FOLDER)),
  }));
}

export function recording(name: string): Recording {
  const found = recordings().find((r) => r.name === name);
  if (found === undefined) throw new Error(`no recording ${name}`);
  return found;
}

/**
 * Legitimate senders that a correct filter blocks all the same, by recording: they gave `loyalty`
 * (3) wrong passwords in a row, as an attacker does.
 */
export const EARNED: Record<string, readonly string[]> = {
  "pjsip-udp-legit-after-wrong.ami": ["198.51.100.23"],
  "timestampevents-on-legit-after-wrong.ami": ["198.51.100.23"],
};

/** Asterisk's time of an event (`EventTV`), in milliseconds since the epoch. */
export function eventTime(text: string): number {
  return Date.parse(text.replace(/(\d\d)(\d\d)$/, "$1:$2"));
}
