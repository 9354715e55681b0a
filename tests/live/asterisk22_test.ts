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

withAsterisk(import.meta.url, SERVERS.current, (executable, root) => {
  Deno.test.beforeAll(openNetworks);
  testQuickStart(SERVERS.current, executable, root);
  testBlocking(SERVERS.current, executable, root);
  testRegistered(SERVERS.current, executable, root);
  testRestarting(SERVERS.current, executable, root);
  testPhones(SERVERS.current, executable, root);
  testImitation(SERVERS.current, root);
  testChecking(SERVERS.current, executable, root);
  testThin(SERVERS.current, executable, root);
  testTls(SERVERS.current, executable, root);
  testLogging(SERVERS.current, executable, root);
  testLogSource(SERVERS.current, executable, root);
});
