/**
 * A real Redis or Valkey of a test's own.
 *
 * @module
 */

import { rootOf, VALKEY } from "../../tools/firewalls.ts";

/** A program that is an engine. */
interface EngineProgram {
  /** What it is, for names of tests. */
  readonly name: string;
  /** What is missing here, and what gets it; `undefined`: nothing. */
  readonly missing: string | undefined;
  /** The file system that has it; `undefined`: this machine's. */
  readonly root?: string;
  /** Its name there. */
  readonly program: string;
}

const redis: EngineProgram = {
  name: "Redis",
  program: "redis-server",
  missing: isInstalled("redis-server") ? undefined : "apt-get install redis-server",
};

const valkeyRoot = rootOf(VALKEY);

/** The engines that tests are run with. */
const ENGINES: readonly EngineProgram[] = [redis, {
  name: "Valkey",
  program: "valkey-server",
  ...(valkeyRoot === undefined ? {} : { root: valkeyRoot }),
  missing: redis.missing ??
    (valkeyRoot === undefined
      ? "no Valkey: deno task firewalls gets it"
      : Deno.uid() === 0
      ? undefined
      : "needs root"),
}];

/** Registers a test for each engine that is there; the others are named with what gets them. */
export function engineTest(name: string, fn: (engine: EngineProgram) => Promise<void>): void {
  for (const engine of ENGINES) {
    const left = engine.missing === undefined ? "" : ` (left out: ${engine.missing})`;
    Deno.test({
      name: `${engine.name}: ${name}${left}`,
      ignore: left !== "",
      fn: () => fn(engine),
    });
  }
}

/** Its tools are this machine's Redis', which speak to both. */
function isInstalled(program: string): boolean {
  return ["/usr/bin", "/usr/local/bin"].some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/**
 * Starts a program of an engine; it has this machine's /tmp, wherever it lives.
 *
 * @param engine Whose.
 * @param args Its arguments.
 */
function spawn({ root, program }: EngineProgram, args: readonly string[]): Deno.ChildProcess {
  const inside = 'mount --bind /tmp "$0/tmp" && exec chroot "$0" "$@"';
  const [command, ...first] = root === undefined
    ? [program]
    : ["unshare", "--mount", "sh", "-c", inside, root, program];
  return new Deno.Command(command!, {
    args: [...first, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

/** How a server is started. */
interface ServerOptions {
  /** Which engine; Redis by default. */
  readonly engine?: EngineProgram;
  /** Further lines of its configuration. */
  readonly args?: readonly string[];
  /** Its port; a free one by default. */
  readonly port?: number;
  /** Where it listens. @default {"127.0.0.1"} */
  readonly host?: string;
  /** Speak TLS at the port, and nothing else. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
}

/** A server that runs. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;
  readonly #cli: readonly string[];
  readonly #host: string;

  private constructor(
    port: number,
    child: Deno.ChildProcess,
    folder: string,
    cli: readonly string[],
    host: string,
  ) {
    this.port = port;
    this.#host = host;
    this.#child = child;
    this.#folder = folder;
    this.#cli = cli;
  }

  /** Whether Redis is installed. */
  static isInstalled(): boolean {
    return redis.missing === undefined;
  }

  /** Starts one, and waits until it answers. */
  static async start(options: ServerOptions = {}): Promise<RedisServer> {
    const port = options.port ?? freePort();
    const folder = await Deno.makeTempDir({ prefix: "ampere-redis-" });
    const { tls, host = "127.0.0.1" } = options;
    const listen = tls === undefined ? ["--port", String(port)] : [
      ...["--port", "0", "--tls-port", String(port), "--tls-auth-clients", "no"],
      ...["--tls-cert-file", tls.cert, "--tls-key-file", tls.key, "--tls-ca-cert-file", tls.ca],
    ];
    const child = spawn(options.engine ?? redis, [
      ...[...listen, "--bind", host, "--protected-mode", "no"],
      ...["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"],
      ...["--dir", folder, "--daemonize", "no", ...options.args ?? []],
    ]);
    const cli = tls === undefined ? [] : ["--tls", "--cacert", tls.ca];
    const server = new RedisServer(port, child, folder, cli, host);
    while (!/PONG|NOAUTH/.test(await server.cli("PING"))) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return server;
  }

  /** Asks it by redis-cli; what that prints. */
  async cli(...args: string[]): Promise<string> {
    const { stdout, stderr } = await new Deno.Command("redis-cli", {
      args: ["-h", this.#host, "-p", String(this.port), ...this.#cli, ...args],
      stdin: "null",
    }).output();
    return (new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)).trim();
  }

  /** Stops it as SIGSTOP does; `SIGCONT` lets it go on. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Watches a primary and its replica, and promotes that when the primary is dead. */
export class Sentinel implements AsyncDisposable {
  readonly #port: number;
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;

  private constructor(port: number, child: Deno.ChildProcess, folder: string) {
    this.#port = port;
    this.#child = child;
    this.#folder = folder;
  }

  /** Starts one alone: what it thinks is so. */
  static async start(engine: EngineProgram, primary: number): Promise<Sentinel> {
    const port = freePort();
    const folder = await Deno.makeTempDir({ prefix: "ampere-sentinel-" });
    const lines = [
      ...[`port ${port}`, "bind 127.0.0.1", `dir ${folder}`],
      `sentinel monitor ampere 127.0.0.1 ${primary} 1`,
      "sentinel down-after-milliseconds ampere 1000",
      "sentinel failover-timeout ampere 3000",
    ];
    await Deno.writeTextFile(`${folder}/sentinel.conf`, lines.join("\n") + "\n");
    const child = spawn(engine, [`${folder}/sentinel.conf`, "--sentinel"]);
    return new Sentinel(port, child, folder);
  }

  /** The port of the primary as it sees it, and how many replicas it knows; 0: it does not say. */
  async look(): Promise<{ primary: number; replicas: number }> {
    const { stdout } = await new Deno.Command("redis-cli", {
      args: ["-p", String(this.#port), "INFO", "sentinel"],
      stdin: "null",
    }).output();
    const [, primary, replicas] =
      /address=127\.0\.0\.1:(\d+),slaves=(\d+)/.exec(new TextDecoder().decode(stdout)) ?? [];
    return { primary: Number(primary ?? 0), replicas: Number(replicas ?? 0) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}
