/** A daemon with known numbers, for the tests of what is shown of it. */

import { EVENT_TYPES, type EventType } from "../../src/ami/event.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { judgeFailure } from "../../src/firewall/judgement.ts";
import { Counters } from "../../src/telemetry/counters.ts";
import type { LogsState, StatusSource } from "../../src/telemetry/status.ts";

export const NOW = Date.UTC(2026, 10, 22, 8, 9, 9);

/** The index of a kind of event of a service. */
export function eventType(kind: EventType["kind"], service: EventType["service"]): number {
  return EVENT_TYPES.findIndex((type) => type.kind === kind && type.service === service);
}

/** Logs that are followed, one of them in vain. */
export const LOGS: LogsState = {
  files: [
    {
      path: "/var/log/asterisk/messages",
      trouble: undefined,
      advice: "",
      lines: 1_234,
      tampered: 2,
      behind: 4_096,
    },
    {
      path: "/var/log/asterisk/security",
      trouble: "/var/log/asterisk/security may not be read",
      advice: "systemctl edit ampere",
      lines: 0,
      tampered: 0,
      behind: 0,
    },
  ],
  charged: new Map([["FailedACL PJSIP", 7], ["InvalidPassword IAX2", 1]]),
  dropped: 40,
  waiting: 3,
};

export function source(
  options: { connected?: boolean; trouble?: string; failing?: boolean } = {},
): StatusSource {
  const { connected = true, trouble, failing = false } = options;
  const counters = new Counters();
  for (let i = 0; i < 3; i++) counters.event(eventType("ChallengeSent", "PJSIP"));
  counters.event(eventType("InvalidPassword", "SIP"));
  counters.tampered.set("forged end", 2);
  counters.offences = 3;
  counters.added = 2;
  counters.logins = 3;
  counters.losses = 2;
  for (const seconds of [0.0005, 0.003, 0.003, 7]) counters.latency.observe(seconds);
  const family = {
    desired: 1,
    applied: 1,
    queued: failing ? 1 : 0,
    rejected: 0,
    commands: 7,
    failures: failing ? 3 : 0,
    flushes: 0,
    lastFailure: failing
      ? {
        family: 4 as const,
        kind: "no-chain" as const,
        message: 'IPv4: there is no chain "ampere"',
        advice: "iptables -N ampere && iptables -I INPUT -j ampere",
      }
      : undefined,
    failing,
  };
  return {
    config: DEFAULT_CONFIG,
    backend: { name: "iptables", isAuto: true, why: "its chain ampere is there" },
    counters,
    startedAt: NOW - 3_600_000,
    connectedSince: connected ? NOW - 60_000 : undefined,
    dryRun: false,
    logs: undefined,
    whereabouts: { place: { kind: "here" }, isAssumed: true, doubt: undefined },
    neverBlocked: [{ target: "192.0.2.1", cause: "default gateway" }],
    trust: { entries: 0, file: undefined, names: [] },
    table: {
      size: 4,
      standingSize: 2,
      waiting: 2,
      evicted: 0,
      proxies: 0,
      guard: { guarded: 0, begun: 0, blocked: 0 },
      slow: { counted: 0, blocked: 0 },
      insiders: { count: 0 },
    },
    guardedAccounts: [],
    neighbourhoods: { size: 0 },
    listed: { states: [], trouble: undefined },
    list: {
      path: DEFAULT_CONFIG.database,
      size: 2,
      pending: trouble === undefined ? 0 : 4,
      trouble,
      each: () => [
        {
          target: "203.0.113.5",
          since: NOW - 120_000,
          until: NOW + 600_000,
          reason: "added by hand",
          service: "",
          transport: "",
          account: "",
          times: 1,
        },
        {
          target: "2001:db8:bad::/64",
          since: NOW - 60_000,
          until: undefined,
          reason: '3 wrong passwords, last account "\x1b[2J"',
          service: "PJSIP",
          transport: "UDP",
          account: "\x1b[2J",
          times: 2,
        },
      ],
    },
    firewall: {
      status: () => ({
        ...family,
        families: [{
          family: 4,
          ...family,
          judgement: family.lastFailure === undefined || !family.failing
            ? { family: 4, inForce: "yes", cause: "", message: "", brief: "", advice: "" }
            : judgeFailure(family.lastFailure),
          waiting: [],
        }],
      }),
    },
    inquiry: {
      look: (target) => ({
        target,
        network: null,
        ipv4: null,
        hosts: [],
        standing: [],
        blocks: [],
        evidence: [],
      }),
      worst: () => [{
        host: "198.51.100.7",
        points: 9,
        limit: 15,
        tally: {
          wrongAnswers: 1,
          unanswered: 1,
          refusals: 0,
          badRequests: 0,
          strangeCalls: 0,
          reports: 0,
        },
        waiting: 2,
        lastAt: NOW - 5_000,
      }],
    },
  };
}
