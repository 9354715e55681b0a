/** What a command prints, in the tests of commands that print by themselves. */

/** What was printed, and the exit code. */
interface Printed {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs a command in this process.
 *
 * @param command Gives the exit code.
 * @param take Takes a part of what is printed; says of how many bytes, as the system does. By
 *   default of all.
 */
export async function printed(
  command: () => number | Promise<number>,
  take: (bytes: Uint8Array) => number = (bytes) => bytes.length,
): Promise<Printed> {
  const streams = [Deno.stdout, Deno.stderr];
  const originals = streams.map(({ writeSync }) => writeSync);
  const texts = streams.map((stream) => {
    const decoder = new TextDecoder();
    const text = { all: "" };
    stream.writeSync = (bytes) => {
      const taken = take(bytes);
      text.all += decoder.decode(bytes.subarray(0, taken), { stream: true });
      return taken;
    };
    return text;
  });
  try {
    const code = await command();
    return { code, out: texts[0]!.all, err: texts[1]!.all };
  } finally {
    streams.forEach((stream, i) => stream.writeSync = originals[i]!);
  }
}
