/** The rpm, with the real rpm, and what both kinds of packages do when systemd runs. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { makeRpm } from "../../tools/rpm.ts";
import { PROJECT, releaseDate } from "../../tools/compile.ts";
import { makePackages, type Packages } from "../../tools/package.ts";
import { projectVersion } from "../../tools/staging.ts";
import { compiledAmpere, executableFolder } from "../support/executable.ts";
import { doInSandbox, HAS_SANDBOX } from "../support/sandbox.ts";
import { doWithSystemd, hasSystemd } from "../support/systemd.ts";

const SHOWN = executableFolder();
const isThere = (program: string) =>
  new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).outputSync()
    .success;
const IN_CI = Deno.env.get("CI") === "true";
const RPM = { ignore: !HAS_SANDBOX || !IN_CI && !isThere("rpmbuild") };
const SYSTEMD = { ignore: RPM.ignore || !await hasSystemd(SHOWN) };

let made: Promise<Packages> | undefined;

function packages(): Promise<Packages> {
  return made ??= compiledAmpere().then((program) =>
    makePackages({ program, folder: SHOWN, compression: "quick" })
  );
}

/** A later version, whose example of a configuration is another one. */
async function laterRpm(): Promise<string> {
  const work = await Deno.makeTempDir({ dir: SHOWN });
  const tree = join(work, "tree");
  const items = [
    { text: "loyalty = 5\n", to: "etc/ampere/ampere.cfg", mode: 0o640 },
    {
      from: "packaging/ampere.service",
      to: "usr/lib/systemd/system/ampere.service",
      mode: 0o644,
    },
    { to: "usr/share/doc/ampere", mode: 0o755 },
    { to: "var/lib/ampere", mode: 0o750 },
  ];
  const sh = `
set -eu
cd ${PROJECT}
mkdir -p ${tree}/etc/ampere ${tree}/usr/sbin ${tree}/usr/lib/ampere ${tree}/var/lib/ampere \\
  ${tree}/usr/share/doc/ampere ${tree}/usr/lib/systemd/system
echo 'loyalty = 5' > ${tree}/etc/ampere/ampere.cfg
cp packaging/ampere.service ${tree}/usr/lib/systemd/system/
cp ${await compiledAmpere()} ${tree}/usr/sbin/ampere
ln -s ../../sbin/ampere ${tree}/usr/lib/ampere/ampere`;
  const { success } = await new Deno.Command("sh", { args: ["-c", sh] }).output();
  assert.ok(success);
  return await makeRpm({
    version: "9.0.0",
    machine: "x86_64",
    tree,
    items,
    configFiles: ["/etc/ampere/ampere.cfg"],
    programs: ["usr/sbin/ampere", "usr/lib/ampere/ampere"],
    compression: "quick",
    date: await releaseDate(),
    work,
    folder: SHOWN,
  });
}

/** This machine has no rpm for what Ampere needs, such as glibc, though it is there. */
const INSTALL = "rpm --force-debian --nodeps";

Deno.test("rpm: rpmlint finds no error", {
  ignore: RPM.ignore || !IN_CI && !isThere("rpmlint"),
}, async () => {
  const { rpm } = await packages();
  const config = join(PROJECT, "packaging/rpm/rpmlint.toml");
  const { code, stdout } = await new Deno.Command("rpmlint", {
    args: ["--config", config, rpm],
  }).output();
  const said = new TextDecoder().decode(stdout);
  assert.equal(code, 0, said);
  assert.match(said, /1 packages and 0 specfiles checked; 0 errors, 0 warnings/);
});

Deno.test(
  "rpm: everything in its place with its rights, nothing started, the next steps told",
  RPM,
  async () => {
    const { rpm } = await packages();
    const said = await doInSandbox(
      `
${INSTALL} -i ${rpm}
stat -c '%a %U %G %n' /etc/ampere/ampere.cfg /var/lib/ampere /usr/sbin/ampere \\
  /usr/lib/systemd/system/ampere.service /usr/lib/systemd/system/ampere-health.timer
readlink /usr/lib/ampere/ampere
/usr/lib/ampere/ampere -V
rpm -V --nodeps ampere && echo verified
rpm -q --qf '[%{FILEFLAGS:fflags} %{FILENAMES}\\n]' ampere | grep '/etc'
rpm -q --requires ampere
rpm -qd ampere | grep man
pgrep -x ampere || echo 'not running'
`,
      SHOWN,
    );
    for (
      const line of [
        "640 root root /etc/ampere/ampere.cfg",
        "750 root root /var/lib/ampere",
        "755 root root /usr/sbin/ampere",
        "644 root root /usr/lib/systemd/system/ampere.service",
        "644 root root /usr/lib/systemd/system/ampere-health.timer",
        "../../sbin/ampere",
        `ampere/${await projectVersion()}`,
        "verified",
        "cn /etc/ampere/ampere.cfg",
        "cn /etc/logrotate.d/ampere",
        "glibc >= 2.27",
        "/usr/share/man/man5/ampere.cfg.5.gz",
        "/usr/share/man/man8/ampere.8.gz",
        "not running",
        "  2. read setup.sh, then: sh setup.sh",
      ]
    ) assert.ok(said.split("\n").includes(line), `${line} in\n${said}`);
  },
);

Deno.test(
  "rpm: an Ampere 0.2.3 that was installed by hand: its configuration and list are kept",
  RPM,
  async () => {
    const { rpm } = await packages();
    const said = await doInSandbox(
      `
mkdir -p /etc/ampere /var/lib/ampere /usr/lib/ampere
echo 'user = pbx' > /etc/ampere/ampere.cfg
echo bdb > /var/lib/ampere/filter.db
printf '#!/bin/sh\\n[ "$1" = -l ] && echo "     203.0.113.77 | since 2020-02-03 04:05:06"\\n' > /usr/lib/ampere/ampere
chmod 755 /usr/lib/ampere/ampere
${INSTALL} -i ${rpm} 2>&1
cat /etc/ampere/ampere.cfg /var/lib/ampere/filter.db
/usr/lib/ampere/ampere-0.2.3 -l | ampere -a
ampere -l
`,
      SHOWN,
    );
    assert.match(said, /created as \/etc\/ampere\/ampere\.cfg\.rpmnew/);
    assert.match(said, /ampere-0\.2\.3 -l \| ampere -a\nuser = pbx\nbdb\n1 added/);
    assert.match(said, /^ +203\.0\.113\.77 \| since 2020-02-03 04:05:06/m);
  },
);

/** Starts it with a block and a changed configuration; shows what is left after `change`. */
function life(install: string, upgrade: string, remove: string): string {
  return `
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
# Images for containers forbid to start services by that.
rm -f /usr/sbin/policy-rc.d
${install} > /dev/null 2>&1
printf 'backend = nftables\\npass = s3cret\\n' > /etc/ampere/ampere.cfg
echo 203.0.113.5 | ampere -a > /dev/null
systemctl start ampere
first=$(systemctl show -p MainPID --value ampere)
${upgrade} > /dev/null 2>&1
second=$(systemctl show -p MainPID --value ampere)
[ "$second" != 0 ] && [ "$second" != "$first" ] && echo restarted
cat /etc/ampere/ampere.cfg
nft list ruleset | grep -o -m 1 203.0.113.5
${remove} > /dev/null 2>&1
systemctl is-active ampere || true
nft list ruleset | grep -o -m 1 203.0.113.5
ls /etc/ampere /var/lib/ampere
[ ! -e /usr/sbin/ampere ] && echo gone
`;
}

const KEPT = "restarted\nbackend = nftables\npass = s3cret\n203.0.113.5\ninactive\n203.0.113.5\n";

Deno.test(
  "rpm: an upgrade restarts what runs, a removal stops it; configuration and blocks stay",
  SYSTEMD,
  async () => {
    const { rpm } = await packages();
    const said = await doWithSystemd(
      life(`${INSTALL} -i ${rpm}`, `${INSTALL} -U ${await laterRpm()}`, `${INSTALL} -e ampere`),
      SHOWN,
    );
    assert.ok(said.startsWith(KEPT), said);
    assert.match(said, /^ampere\.cfg\.rpmsave$/m);
    assert.match(said, /^ampere\.db$/m);
    assert.match(said, /^gone$/m);
  },
);

Deno.test(
  "deb: an upgrade restarts what runs, a removal stops it; configuration and blocks stay",
  SYSTEMD,
  async () => {
    const { debian } = await packages();
    const dpkg = "dpkg --no-triggers";
    const said = await doWithSystemd(
      life(
        `dpkg --purge ampere; ${dpkg} -i ${debian}`,
        `(dpkg-deb -R ${debian} /tmp/new
sed -i 's/^Version: .*/Version: 9.0.0/' /tmp/new/DEBIAN/control
dpkg-deb -Znone --build /tmp/new /tmp/new.deb
${dpkg} --force-confold -i /tmp/new.deb)`,
        `${dpkg} -r ampere`,
      ),
      SHOWN,
    );
    assert.ok(said.startsWith(KEPT), said);
    assert.match(said, /^ampere\.cfg$/m);
    assert.match(said, /^ampere\.db$/m);
    assert.match(said, /^gone$/m);
  },
);

Deno.test(
  "tar.gz: its script installs, brings up to date and takes away; configuration and blocks stay",
  SYSTEMD,
  async () => {
    const { archive } = await packages();
    const unpack = "rm -rf /opt/a; mkdir /opt/a; tar -xzf";
    const said = await doWithSystemd(
      life(
        `${unpack} ${archive} -C /opt/a; sh /opt/a/*/install.sh`,
        `sh /opt/a/*/install.sh`,
        `sh /opt/a/*/install.sh --uninstall`,
      ),
      SHOWN,
    );
    assert.ok(said.startsWith(KEPT), said);
    assert.match(said, /^ampere\.cfg$/m);
    assert.match(said, /^ampere\.db$/m);
    assert.match(said, /^gone$/m);
  },
);

Deno.test("tar.gz: a damaged archive is not installed; DESTDIR is another root", RPM, async () => {
  const { archive } = await packages();
  const said = await doInSandbox(
    `
mkdir /tmp/a && tar -xzf ${archive} -C /tmp/a && cd /tmp/a/*
DESTDIR=/tmp/root sh install.sh
find /tmp/root -type f -o -type l | sort
MANPATH=/tmp/root/usr/share/man man -w ampere.cfg
echo more >> ampere
sh install.sh 2>&1 && exit 9
ls /usr/sbin/ampere 2>&1 || true
sh install.sh --purge 2>&1 || true
`,
    SHOWN,
  );
  assert.match(said, /\/tmp\/root\/usr\/sbin\/ampere$/m);
  assert.match(said, /\/tmp\/root\/etc\/systemd\/system\/ampere-health\.timer$/m);
  assert.match(said, /^\/tmp\/root\/usr\/share\/man\/man5\/ampere\.cfg\.5$/m);
  assert.match(said, /install\.sh: a file is not as it was packed/);
  assert.match(said, /cannot access '\/usr\/sbin\/ampere'/);
  assert.match(said, /install\.sh: --purge: unknown/);
});

Deno.test("the packages are the same from another folder at another time", RPM, async () => {
  const first = await packages();
  const folder = await Deno.makeTempDir({ dir: SHOWN });
  const copy = join(folder, "elsewhere", "ampere");
  const program = await compiledAmpere();
  const script = `
set -eu
mkdir -p ${copy} ${folder}/made
git -C ${PROJECT} ls-files -z --cached --others --exclude-standard |
  tar -C ${PROJECT} --null -T - -c | tar -C ${copy} -xm
umask 077
cp ${program} ${folder}/program
cd ${copy}
TZ=Asia/Tokyo ${Deno.execPath()} run -A --no-check tests/support/make_packages.ts ${folder}/program ${folder}/made
cd ${folder}/made && sha256sum *`;
  const { code, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const sums = new TextDecoder().decode(stdout);
  for (const path of Object.values<string>({ ...first })) {
    const hash = new Uint8Array(
      await crypto.subtle.digest("SHA-256", await Deno.readFile(path)),
    ).toHex();
    assert.ok(sums.includes(`${hash}  ${path.slice(path.lastIndexOf("/") + 1)}\n`), path);
  }
});
