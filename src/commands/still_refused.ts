/**
 * What `ampere -d` says when whom it has deleted is refused all the same, because nobody takes them
 * out of the kernel.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { chooseBackend } from "../firewall/choice.ts";
import { StatusError } from "../telemetry/status_socket.ts";
import { escapeControls } from "../text/escape.ts";
import { fixOf } from "../text/fix.ts";
import { askDaemon } from "./ask_daemon.ts";
import { complain } from "./output.ts";
import { Kernel } from "./why/kernel.ts";

/** Most deleted targets that are looked for in the kernel, and named. */
const LOOKED_FOR_MAX = 10;

/** Longest fault of the firewall that is repeated, in characters. */
const FAULT_CHARACTERS_MAX = 300;

/**
 * Says so if they are not let in, or if nobody knows.
 *
 * @param config Names the database, the firewall and its chain.
 * @param deleted Canonical targets that are not in the list any more.
 */
export async function tellStillRefused(config: Config, deleted: readonly string[]): Promise<void> {
  if (deleted.length === 0) return;
  const answer = await askDaemon(config);
  if (!(answer instanceof StatusError)) {
    const [fault] = answer.firewall.trouble;
    if (fault === undefined || answer.dryRun) return;
    const why = escapeControls(fault.message + fixOf(fault.advice), FAULT_CHARACTERS_MAX);
    return complain(`the firewall takes no changes now, and may refuse them until it does: ${why}`);
  }
  if (!answer.absent) {
    return complain(
      `whether the firewall lets them in is not known: ${answer.message}${fixOf(answer.advice)}`,
    );
  }
  const held = await heldByKernel(config, deleted.slice(0, LOOKED_FOR_MAX));
  if (held.length === 0) return;
  complain(
    `the kernel refuses ${held.join(", ")} still${
      deleted.length > LOOKED_FOR_MAX ? " (of the first that were looked for)" : ""
    }: no daemon runs that would let them in. Fix: systemctl start ampere`,
  );
}

async function heldByKernel(config: Config, targets: readonly string[]): Promise<string[]> {
  const kernel = new Kernel(config, (await chooseBackend(config)).name);
  try {
    const held: string[] = [];
    for (const target of targets) {
      const answer = await kernel.ask(target);
      if (answer.isAsked && answer.blocked.includes(target)) held.push(target);
    }
    return held;
  } finally {
    kernel.close();
  }
}
