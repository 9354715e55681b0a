import { SERVERS } from "../../tools/asterisk.ts";
import { openNetworks, withAsterisk } from "./asterisk.ts";
import { testBlocking } from "./blocking.ts";
import { testChecking } from "./checking.ts";
import { testImitation } from "./imitation.ts";
import { testLogging } from "./logging.ts";
import { testLogSource } from "./log_source.ts";
import { testPhones } from "./phones.ts";
import { testQuickStart } from "./quick_start.ts";
import { testRegistered } from "./registered.ts";
import { testRestarting } from "./restarting.ts";
import { testThin } from "./thin.ts";
import { testTls } from "./tls.ts";

withAsterisk(import.meta.url, SERVERS.old, (executable, root) => {
  Deno.test.beforeAll(openNetworks);
  testQuickStart(SERVERS.old, executable, root);
  testBlocking(SERVERS.old, executable, root);
  testRegistered(SERVERS.old, executable, root);
  testRestarting(SERVERS.old, executable, root);
  testPhones(SERVERS.old, executable, root);
  testImitation(SERVERS.old, root);
  testChecking(SERVERS.old, executable, root);
  testThin(SERVERS.old, executable, root);
  testTls(SERVERS.old, executable, root);
  testLogging(SERVERS.old, executable, root);
  testLogSource(SERVERS.old, executable, root);
});
