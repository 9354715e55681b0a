/** All messengers together, over changes of the configuration. */

import { deepStrictEqual } from "node:assert/strict";
import { Messages } from "../../../src/telemetry/messages/messages.ts";
import { LOST_MS } from "../../../src/telemetry/messages/messenger.ts";
import { right } from "../../support/config_texts.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { until } from "../../support/namespace.ts";

const TIME = "2026-11-22T08:09:09.918Z";
const FIREWALL = {
  time: TIME,
  family: 4,
  inForce: "no",
  reason: "the chain is gone",
  advice: "",
} as const;

Deno.test("messages: a messenger that is changed while something is lost tells it, and its end", async () => {
  const told: string[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { title, events } = await request.json();
      told.push(...events.map(({ event }: { event: string }) => `${title.split(":")[0]} ${event}`));
      return new Response();
    },
  );
  const clock = new FakeClock();
  const messages = new Messages({ limited: () => {} }, clock, Date.now);
  const as = (title: string) =>
    right(
      `[notify a]\nformat = json\nurl = http://127.0.0.1:${server.addr.port}/\ndigest = off\n` +
        `title = ${title}`,
    ).messengers;
  /** Lets time pass until so much was told. */
  const tells = async (...all: string[]) => {
    await until(`${all.at(-1)} is told`, async () => {
      await clock.advance(1_000);
      return told.length >= all.length;
    });
    deepStrictEqual(told, all);
  };
  await messages.apply(as("old"));
  messages.tell({ event: "firewall-lost", ...FIREWALL });
  messages.tell({ event: "firewall-lost", ...FIREWALL, family: 6 });
  messages.tell({ event: "firewall-restored", time: TIME, family: 6 });
  const before = ["old firewall-lost", "old firewall-lost", "old firewall-restored"];
  await tells(...before);
  messages.tell({ event: "ami-lost", time: TIME, reason: "Asterisk closed" });
  await messages.apply(as("new"));
  await tells(...before, "new firewall-lost");
  await clock.advance(LOST_MS);
  await tells(...before, "new firewall-lost", "new ami-lost");
  messages.tell({ event: "ami-connected", time: TIME });
  await messages.apply(as("third"));
  await tells(
    ...before,
    "new firewall-lost",
    "new ami-lost",
    "new ami-connected",
    "third firewall-lost",
  );
  const stopped = messages.stop();
  await clock.advance(2_000);
  await stopped;
});
