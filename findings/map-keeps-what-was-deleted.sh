#!/usr/bin/env bash
# A Map is hundreds of times slower where one key comes and goes
#
# Version:     deno 2.8.3 (V8 14.9) and node 24.9.0 (V8 13.6) of npm
# Expectation: set() and delete() of a Map cost about the same whichever key they are for and
#              however many others there are. To use the same key again, as records do whose
#              numbers are given out again last in, first out, is if anything the cheapest case.
# Behaviour:   it is the dearest. A deleted entry stays in the chain of its hash until the whole
#              Map is built anew, which happens when its room is used up. With one key all the
#              deleted entries are in one chain, and each look for that key while it is absent
#              (set() begins with one) walks along them: about 2.5 ns each, some ten thousand of
#              them. Their number follows the room that the other keys leave: just past a power of
#              two the cost is about three times what it is just before, and it falls from there.
#              Keys in turn cost the less the more they are, new keys nothing more. Even keys,
#              multiples of 16 and 1024, descending numbers and texts are alike: it is no bad hash.
# Seen:        one key 38473 ns, 256 keys in turn 479 ns, new keys 67 ns; one key beside 10 others
#              98 ns, beside 16000 21632 ns (deno; the first three beside 18000 others)
#              one key 38537 ns, 256 keys in turn 438 ns, new keys 161 ns; one key beside 10 others
#              68 ns, beside 16000 22081 ns (node)
# Ends with 0 if that is still so (one key at least 50 times as slow as new keys, in both), with 1
# if not, with 2 if it cannot be tried here.
# Needs:       node, npm and its registry, room for both programs in a temporary folder.
set -euo pipefail

for program in node npm; do
  command -v "$program" >/dev/null || { echo "$program is missing"; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Node's package needs its install script: that one puts the program into its place.
npm install --silent --no-fund --no-audit --prefix "$folder" deno@2.8.3 node@24.9.0 >/dev/null ||
  { echo "npm could not install it"; exit 2; }

cat >"$folder/try.mjs" <<'END'
import process from "node:process";

const ROUNDS = 50_000;
/** Nanoseconds for set() and delete() of the key of a round beside others; the best of three. */
function cost(others, keyOf) {
  const map = new Map();
  for (let key = 0; key < others; key++) map.set(key, key);
  let best = Infinity;
  for (let i = 0, round = 0; i < 3; i++) {
    const start = performance.now();
    for (const end = round + ROUNDS; round < end; round++) {
      map.set(keyOf(round), round);
      map.delete(keyOf(round));
    }
    best = Math.min(best, (performance.now() - start) * 1e6 / ROUNDS);
  }
  return Math.round(best);
}
const OTHERS = 18_000;
const one = cost(OTHERS, () => OTHERS);
const turns = cost(OTHERS, (round) => OTHERS + round % 256);
const fresh = cost(OTHERS, (round) => OTHERS + round);
const few = cost(10, () => 10), fewer = cost(16_000, () => 16_000);
console.log(
  `one key ${one} ns, 256 keys in turn ${turns} ns, new keys ${fresh} ns; ` +
    `one key beside 10 others ${few} ns, beside 16000 ${fewer} ns`,
);
process.exitCode = one >= 50 * fresh ? 0 : 1;
END

same=0
for program in "deno run --no-config --no-lock" node; do
  read -ra words <<<"$program"
  binary=$folder/node_modules/.bin/${words[0]}
  [ -x "$binary" ] || { echo "${words[0]} was not installed"; exit 2; }
  "$binary" --version | head -n 1
  "$binary" "${words[@]:1}" "$folder/try.mjs" || same=1
done
[ "$same" -eq 0 ] && echo "as seen before" || echo "this has changed"
exit "$same"
