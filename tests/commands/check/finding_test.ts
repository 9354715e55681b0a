/** How a finding is printed. */

import assert from "node:assert/strict";
import { formatFinding, problem } from "../../../src/commands/check/finding.ts";
import { COLOURED, PLAIN } from "../../../src/text/table.ts";

Deno.test("finding: it is one line and its mend another, without control characters", () => {
  const finding = problem("config", 'a "quoted" \x1b[31m word', "chmod 600 /etc/a\\b");
  assert.equal(
    formatFinding(finding, PLAIN),
    'problem  config    a "quoted" \\x1b[31m word\n         fix: chmod 600 /etc/a\\b\n',
  );
  assert.ok(formatFinding(finding, COLOURED).startsWith("\x1b[31mproblem"));
});
