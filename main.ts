/**
 * Ampere: an active network filter for Asterisk. Arguments in, exit code out.
 *
 * @module
 */

import { main } from "./src/cli.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
