/** The programs of nft that stay, at their beginning. */

import assert from "node:assert/strict";
import { type Child, type ChildStarter, startChild } from "../../../src/firewall/child.ts";
import { run, type Runner } from "../../../src/firewall/command.ts";
import { Firewall } from "../../../src/firewall/firewall.ts";
import { NftablesBackend } from "../../../src/firewall/nftables/nftables.ts";
import { NftTable } from "../../../src/firewall/nftables/table.ts";
import { inNamespace, sh, until } from "../../support/namespace.ts";

/** Starts the monitor only when it is told to: on a busy machine that takes a while. */
function lateMonitor(): { start: ChildStarter; open: () => void } {
  let open = () => {};
  const gate = new Promise<void>((resolve) => open = resolve);
  const start: ChildStarter = (program, args, handlers) => {
    if (!args.includes("monitor")) return startChild(program, args, handlers);
    let child: Child | undefined;
    const begun = gate.then(() => child = startChild(program, args, handlers));
    return {
      write: (text) => child?.write(text),
      kill: () => child?.kill(),
      gone: begun.then(({ gone }) => gone),
    };
  };
  return { start, open };
}

/** Holds back what is written to `nft -i`, and tells what the monitor writes. */
function heldFeeder() {
  const held: (() => void)[] = [];
  let isOpen = false;
  let heard = "";
  const start: ChildStarter = (program, args, handlers) => {
    const isMonitor = args.includes("monitor");
    const child = startChild(program, args, {
      ...handlers,
      onOutput(text) {
        heard += text;
        handlers.onOutput?.(text);
      },
    });
    if (isMonitor) return child;
    return {
      write: (text) => isOpen ? child.write(text) : void held.push(() => child.write(text)),
      kill: () => child.kill(),
      gone: child.gone,
    };
  };
  const open = () => {
    isOpen = true;
    for (const write of held.splice(0)) write();
  };
  return { start, held, open, heard: () => heard };
}

inNamespace(import.meta.url, () => {
  Deno.test("nftables: the programs stay when all attempts to be heard are over", async () => {
    const { start, held, open, heard } = heldFeeder();
    const table = new NftTable({ name: "ampere", start });
    const backends = ([4, 6] as const).map((family) => new NftablesBackend({ family, table }));
    const firewall = new Firewall({ backends, log: console, verifyMs: 3_600_000 });
    try {
      await firewall.start([]);
      await until("the monitor listens", async () => {
        await sh("nft", "add", "table", "inet", "other");
        await sh("nft", "delete", "table", "inet", "other");
        return heard().includes("other");
      });
      await until("several attempts are under way", () => held.length > 1);
      held.shift()!();
      await until("the first is heard", () => heard().includes("marks"));
      await firewall.idle();
      assert.ok(!table.isResident);
      open();
      await until("the programs stay", () => table.isResident);
    } finally {
      await firewall.stop();
      await table.gone();
      await sh("nft", "flush", "ruleset");
    }
  });

  Deno.test("nftables: for a change that no monitor heard of nobody waits", async () => {
    const lines: string[] = [];
    const say = (line: string) => void lines.push(line);
    const log = { debug() {}, info() {}, warn: say, error: say };
    const commands: string[] = [];
    const counting: Runner = (program, args, options) => {
      commands.push(args.join(" "));
      return run(program, args, options);
    };
    const { start, open } = lateMonitor();
    const table = new NftTable({ name: "ampere", start, run: counting, log });
    const backends = ([4, 6] as const).map((family) => new NftablesBackend({ family, table }));
    const firewall = new Firewall({ backends, log, verifyMs: 3_600_000 });
    try {
      await firewall.start([]);
      firewall.block([{ target: "192.0.2.1", until: undefined }]);
      await firewall.idle();
      assert.equal(commands.filter((command) => command === "-f -").length, 3);
      open();
      await until("the programs stay", () => table.isResident);
      await firewall.idle();
      commands.length = 0;
      firewall.block([{ target: "192.0.2.2", until: undefined }]);
      await firewall.idle();
      assert.deepEqual(commands, []);
      assert.equal((await sh("nft", "flush", "chain", "inet", "ampere", "incoming")).code, 0);
      await until("what others do is noticed", () => lines.length > 0);
      assert.match(lines[0]!, /others changed the chain/);
      await firewall.idle();
    } finally {
      await firewall.stop();
      await table.gone();
    }
  });
});
