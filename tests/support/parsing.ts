/** One message, parsed. */

import { SecurityEvent } from "../../src/ami/event.ts";
import { parseMessage, type Verdict } from "../../src/ami/parser.ts";
import { bytesOf } from "./asterisk_events.ts";

export function parse(text: string): { verdict: Verdict; event: SecurityEvent } {
  const bytes = bytesOf(text);
  const event = new SecurityEvent();
  // The message as the framer hands it on: without its empty line, somewhere in a buffer.
  const buffer = new Uint8Array(bytes.length + 10);
  buffer.set(bytes, 5);
  return { verdict: parseMessage(buffer, 5, 5 + bytes.length - 2, event), event };
}
