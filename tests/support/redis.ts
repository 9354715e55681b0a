/**
 * A real Redis of a test's own.
 *
 * @module
 */

/** How a server is started. */
interface ServerOptions {
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

  /** Whether one is installed. */
  static isInstalled(): boolean {
    return ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].some((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
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
    const child = new Deno.Command("redis-server", {
      args: [
        ...[
          ...listen,
          "--bind",
          host,
          "--protected-mode",
          "no",
          "--save",
          "",
          "--appendonly",
          "no",
        ],
        ...["--dir", folder, "--daemonize", "no", ...options.args ?? []],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
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

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}
