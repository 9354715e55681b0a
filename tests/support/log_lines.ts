/** A log whose lines a test reads. */

import { Log } from "../../src/log.ts";

/** Makes one; its lines are without a time. */
export function logWithLines(level: "info" | "debug" = "info"): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const stderr = {
    writeSync: (bytes: Uint8Array) => {
      lines.push(new TextDecoder().decode(bytes).trimEnd());
      return bytes.length;
    },
  };
  return { log: new Log({ stderr, stamps: false, level }), lines };
}
