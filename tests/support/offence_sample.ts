/** An offence as any other. */

import type { Offence } from "../../src/penalties/offence.ts";
import { HOST } from "./table_bench.ts";

export const OFFENCE: Offence = {
  target: HOST,
  address: HOST,
  service: "PJSIP",
  transport: "UDP",
  account: "100",
  points: 15,
  limit: 15,
  grounds: "attempts",
  row: 0,
  proven: false,
  tally: {
    wrongAnswers: 3,
    unanswered: 0,
    refusals: 0,
    badRequests: 0,
    strangeCalls: 0,
    reports: 0,
  },
  last: [],
  firstAt: 1_000,
  at: 2_500,
};
