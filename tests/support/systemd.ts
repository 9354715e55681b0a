/**
 * A copy of this machine that a real systemd runs, as its first process: for tests of units.
 *
 * @module
 */

import { doInSandbox, HAS_SANDBOX, runInSandbox } from "./sandbox.ts";

/** Targets of a boot that wait for what such a machine lacks, or start what is not wanted. */
const EMPTY_TARGETS = "sysinit.target basic.target shutdown.target network.target timers.target";

/**
 * Becomes systemd, which starts the script as a unit and ends with it. The machine's own units are
 * not started. Of the cgroups only the tree is mounted in which systemd keeps its units.
 */
function bootScript(folder: string): string {
  return `
exec unshare -iuC sh -eu -c '
mount -t sysfs sysfs /sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mount -t tmpfs none /sys/fs/cgroup
  mkdir /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
fi
rm -rf /etc/systemd/system/*.wants /var/log/journal
for unit in ${EMPTY_TARGETS}; do
  printf "[Unit]\\nDefaultDependencies=no\\n" > /etc/systemd/system/$unit
done
cat > /etc/systemd/system/test.service <<END
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=file:${folder}/out
StandardError=file:${folder}/err
ExecStart=-/bin/sh -c "sh -eu ${folder}/script; echo \\$\\$? > ${folder}/code; systemctl exit"
END
export container=test
exec /lib/systemd/systemd --system --unit=test.service --log-target=null --show-status=false
' < /dev/null > /dev/null 2>&1`;
}

/**
 * Runs a script on such a machine, on which Ampere is not installed.
 *
 * @param script For sh, with the options -e and -u.
 * @param shown A folder of this machine that the copy shares, at the same path.
 * @returns What it printed on standard output.
 * @throws {Error} With all that was printed, when it fails or systemd does.
 */
export async function doWithSystemd(script: string, shown: string): Promise<string> {
  const folder = await Deno.makeTempDir({ dir: shown, prefix: "systemd-" });
  const read = (name: string) => Deno.readTextFile(`${folder}/${name}`).catch(() => "");
  try {
    await Deno.writeTextFile(`${folder}/script`, script);
    const { err } = await runInSandbox(bootScript(folder), shown);
    const [out, said, code] = [await read("out"), await read("err"), await read("code")];
    if (code.trim() === "0") return out;
    throw new Error(
      `exit code ${code} of\n${script}\n--- output\n${out}\n--- errors\n${said}${err}`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Whether that can be done here. */
export async function hasSystemd(shown: string): Promise<boolean> {
  if (!HAS_SANDBOX) return false;
  try {
    await doInSandbox("test -x /lib/systemd/systemd", shown);
    return await doWithSystemd("echo up", shown) === "up\n";
  } catch {
    return false;
  }
}
