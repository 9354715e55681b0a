/**
 * What a command prints for people, and the codes with which it ends.
 *
 * @module
 */

/** Exit codes. */
export const EXIT = { ok: 0, problem: 1, usage: 2 } as const;

/** Writes to standard output, all of it. */
export function print(text: string): typeof EXIT.ok {
  writeAll(Deno.stdout, text);
  return EXIT.ok;
}

/** What begins each line on standard error. */
let start = "";

/** From now on what is complained of begins as systemd's journal reads an error: sd-daemon(3). */
export function complainToJournal(): void {
  start = "<3>";
}

/** Writes lines to standard error. */
export function complain(lines: string): void {
  writeAll(Deno.stderr, `${start}${lines.replaceAll("\n", `\n${start}`)}\n`);
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
