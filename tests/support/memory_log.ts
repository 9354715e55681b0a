/** A log that writes to memory. */

import { Log, type LogOptions } from "../../src/log.ts";
import type { LogWriter } from "../../src/text/line_sink.ts";

export const decoder = new TextDecoder();

/** A place for lines that keeps them in memory. */
class Memory implements LogWriter {
  text = "";
  writeSync(bytes: Uint8Array): number {
    this.text += decoder.decode(bytes);
    return bytes.length;
  }
  get lines(): string[] {
    return this.text === "" ? [] : this.text.replace(/\n$/, "").split("\n");
  }
}

/** A log without time stamps that writes to memory, and its clock. */
export function memoryLog(options: LogOptions = {}) {
  const stderr = new Memory();
  const clock = { now: Date.parse("2026-11-22T08:09:09Z") };
  const log = new Log({ stamps: false, now: () => clock.now, stderr, ...options });
  return { log, stderr, clock };
}
