/**
 * Makes the packages of the project that this file stands in: run in a copy of it, to see that the
 * place and the dates of files leave no trace. Arguments: the executable, and the folder for the
 * packages.
 */

import { makePackages } from "../../tools/package.ts";

const [program, folder] = Deno.args;
await makePackages({ program: program!, folder: folder!, compression: "quick" });
