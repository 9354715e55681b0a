/**
 * What a person can do about an engine that refuses.
 *
 * @module
 */

/**
 * The commands that a node needs, as Redis' and Valkey's ACL name them. A login, `PING`, and what
 * makes a transaction need no more than what stands here.
 */
const ACL_COMMANDS: readonly string[] = [
  "ping",
  "select",
  "time",
  "multi",
  "exec",
  "discard",
  "set",
  "get",
  "hset",
  "hsetnx",
  "hdel",
  "hscan",
  "hgetall",
  "zadd",
  "zrem",
  "zscan",
  "zrangebyscore",
  "zremrangebyscore",
  "xadd",
  "xread",
  "xrange",
  "xrevrange",
];

/**
 * The line that makes a user with the least rights.
 *
 * @param user Its name.
 * @param prefix `fleet_prefix`.
 */
export function aclLine(user: string, prefix: string): string {
  const commands = ACL_COMMANDS.map((command) => `+${command}`).join(" ");
  return `ACL SETUSER ${user} on >SECRET ~${prefix}* resetchannels -@all ${commands}`;
}

const ADVICE: readonly (readonly [RegExp, string])[] = [
  [
    /^unreachable/,
    "see that it runs (systemctl status redis-server, or valkey-server) and that its bind in " +
    "redis.conf has an address that is reached from here (redis-cli -h HOST -p PORT ping)",
  ],
  [/^slow/, "see what keeps it busy: redis-cli slowlog get, and the load of its machine"],
  [
    /^WRONGPASS|invalid password/i,
    "write the secret of that user into the file of fleet_pass_file, alone on its first line",
  ],
  [
    /^NOAUTH|AUTH.*called without|unauthenticated/i,
    "fleet_pass_file = FILE with the secret, and the user in the address (redis://USER@HOST:6379/0)",
  ],
  [/without any password configured/i, "take fleet_pass_file out, or give the engine a password"],
  [
    /^NOPERM/,
    "give the user its rights; /usr/share/doc/ampere/docs/fleet.md has the whole line: " +
    "redis-cli ACL SETUSER USER ~ampere:* and so on, with your fleet_prefix",
  ],
  [
    /^READONLY/,
    "this server is a replica: name the primary in fleet (redis-cli info replication tells it)",
  ],
  [
    /^MASTERDOWN/,
    "this server is a replica that has lost its primary: name the primary in fleet, or make this " +
    "one the primary (redis-cli replicaof no one)",
  ],
  [
    /^OOM/,
    "raise its memory (redis-cli config set maxmemory 256mb) or take out what else fills it",
  ],
  [/^LOADING/, "it reads its data at present: wait"],
  [/^MISCONF/, "it cannot write to its disk: see its log, and df -h"],
  [
    /^DENIED/,
    "it takes connections from its own machine alone: give its user a password, then " +
    "protected-mode no in redis.conf",
  ],
  [/^(?:MOVED|CROSSSLOT|CLUSTERDOWN)/, "a cluster is not supported: name a single server"],
  [/^WRONGTYPE/, "another program uses these keys: choose another fleet_prefix"],
  [/unknown command|wrong number|syntax error/i, "use Redis 6.2 or Valkey 7.2, or later"],
  [
    /DB index is out of range/i,
    "name a database that there is, such as /0 (redis.conf, databases)",
  ],
];

/**
 * What mends it.
 *
 * @param said The refusal as the engine says it, `unreachable` or `slow`.
 */
export function adviceFor(said: string): string {
  return ADVICE.find(([pattern]) => pattern.test(said))?.[1] ?? "see the engine's log";
}
