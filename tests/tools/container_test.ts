/** The image that packaging/container describes, built by buildah and run by podman. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { rootOf } from "../../tools/debian.ts";
import { PROJECT } from "../../tools/compile.ts";
import { compiledAmpere } from "../e2e/executable.ts";
import { inNamespace, sh, until } from "../support/namespace.ts";

/** Debian 12 with nftables, as `deno task firewalls` makes it. */
const BASE = rootOf(
  { suite: "bookworm", packages: [], proof: "usr/sbin/nft" },
  "/var/cache/ampere-firewalls",
);

/** Host of the executable, for the process in the namespace, where there is no registry. */
const EXECUTABLE = "AMPERE_TEST_CONTAINER";

async function can(): Promise<boolean> {
  if (BASE === undefined || Deno.uid() !== 0) return false;
  const { code } = await sh("sh", "-c", "command -v buildah podman runc");
  return code === 0;
}

async function must(program: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await sh(program, ...args);
  assert.equal(code, 0, `${program} ${args.join(" ")}\n${out}${err}`);
  return out;
}

if (await can()) {
  if (!Deno.env.has(EXECUTABLE)) Deno.env.set(EXECUTABLE, await compiledAmpere());
  inNamespace(import.meta.url, define);
} else {
  const why = "needs root, buildah, podman, runc and deno task firewalls";
  Deno.test(`container_test.ts (left out: ${why})`, { ignore: true }, () => {});
}

function define(): void {
  Deno.test("container: not root, one capability, a root that is read-only; a blocked host's packets are refused", async () => {
    const work = await Deno.makeTempDir({ prefix: "ampere-container-" });
    await must("mount", "-t", "tmpfs", "none", work);
    const store = ["--root", `${work}/root`, "--runroot", `${work}/run`];
    store.push("--storage-driver", "overlay");
    const buildah = (...args: string[]) => must("buildah", ...store, ...args);
    const podman = (...args: string[]) =>
      must("podman", ...store, "--cgroup-manager", "cgroupfs", ...args);
    try {
      // What the registry would give, if it could be reached: Debian 12.
      const base = (await buildah("from", "scratch")).trim();
      const tree = (await buildah("mount", base)).trim();
      await must("cp", "-a", `${BASE}/.`, tree);
      await buildah("umount", base);
      await buildah("commit", "-q", base, "docker.io/library/debian:12-slim");
      await Deno.mkdir(`${work}/dist`);
      await Deno.copyFile(Deno.env.get(EXECUTABLE)!, `${work}/dist/ampere`);
      const file = join(PROJECT, "packaging/container/Containerfile");
      await buildah(
        ...["bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "-q"],
        ...["-t", "ampere", "-f", file, `${work}/dist`],
      );

      await Deno.mkdir(`${work}/etc`);
      await Deno.writeTextFile(`${work}/etc/ampere.cfg`, "backend = nftables\npass = s3cret\n");
      await must("chown", "-R", "9738:9738", `${work}/etc`);
      // The other side of a cable has a network of its own.
      await must("ip", "netns", "add", "far");
      await must(
        "ip",
        "link",
        "add",
        "near",
        "type",
        "veth",
        "peer",
        "name",
        "far",
        "netns",
        "far",
      );
      await must("ip", "address", "add", "203.0.113.1/24", "dev", "near");
      await must("ip", "link", "set", "near", "up");
      for (const address of ["203.0.113.5", "203.0.113.6"]) {
        await must("ip", "-n", "far", "address", "add", `${address}/24`, "dev", "far");
      }
      await must("ip", "-n", "far", "link", "set", "far", "up");
      using listener = Deno.listen({ hostname: "203.0.113.1", port: 0 });
      const { port } = listener.addr as Deno.NetAddr;
      const passes = async (address: string) => {
        const { code } = await sh(
          ...["ip", "netns", "exec", "far", Deno.execPath(), "eval"] as const,
          `const { connect } = await import("node:net");
           connect({ host: "203.0.113.1", port: ${port}, localAddress: "${address}" })
             .setTimeout(3000, () => Deno.exit(1))
             .on("connect", () => Deno.exit(0)).on("error", () => Deno.exit(1));`,
        );
        return code === 0;
      };
      const id = (await podman(
        ...["run", "--detach", "--network=host", "--read-only", "--log-driver=none"],
        ...["--cap-drop=ALL", "--cap-add=NET_ADMIN", "--security-opt=no-new-privileges"],
        ...["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--runtime=runc"],
        ...["--cgroup-parent=/ampere-test", "--volume", `${work}/etc:/etc/ampere:ro`],
        ...["--tmpfs=/run/ampere:mode=1777", "localhost/ampere"],
      )).trim();
      const inside = (...args: string[]) => podman("exec", id, ...args);
      try {
        await inside("ampere", "--ready");
        assert.match(await inside("id", "-u"), /^9738$/m);
        // Bit 12 is CAP_NET_ADMIN: linux/capability.h.
        assert.match(
          await inside("grep", "-h", "^Cap\\(Eff\\|Bnd\\)", "/proc/1/status"),
          /^CapEff:\t0{12}1000\nCapBnd:\t0{12}1000\n$/,
        );
        const denied = await sh("podman", ...store, "exec", id, "touch", "/usr/x");
        assert.match(denied.err, /Read-only file system/);

        // Without an Asterisk it ends with 1; the firewall it can look at from in there.
        const check = async () =>
          (await sh("podman", ...store, "exec", id, "ampere", "--check")).out;
        assert.equal(await passes("203.0.113.5"), true);
        assert.match(await check(), /^ok +firewall +no packet of a blocked host has come since/m);
        await inside("sh", "-c", "echo 203.0.113.5 | ampere -a");
        await until("its packets are refused", async () => !await passes("203.0.113.5"));
        assert.equal(await passes("203.0.113.6"), true);
        assert.match(
          await check(),
          /^ok +firewall +seen by packets: \d+ packets? of blocked hosts w\S+ refused since .*\(IPv4: [1-9]/m,
        );
        assert.match(await inside("ampere", "--status"), /1 block\b/);
      } finally {
        await podman("rm", "--force", "--time=5", id);
      }
      // The rules stay when it has gone.
      assert.equal(await passes("203.0.113.5"), false);
    } finally {
      await sh("ip", "netns", "del", "far");
      await sh("umount", "--recursive", "--lazy", work);
      await Deno.remove(work).catch(() => {});
      await sh(
        "find",
        "/sys/fs/cgroup",
        "-depth",
        "-path",
        "*/ampere-test*",
        "-type",
        "d",
        "-exec",
        "rmdir",
        "{}",
        ";",
      );
    }
  });
}
