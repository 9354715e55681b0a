/**
 * Tests of `deno task package` with the real dpkg, in a copy of this machine; and of the unit, the
 * manual page and the completions that the package holds.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";
import { makePackages, type Packages } from "../../tools/package.ts";
import { projectVersion } from "../../tools/staging.ts";
import { compiledAmpere, executableFolder } from "../support/executable.ts";
import { doInSandbox, HAS_SANDBOX, runInSandbox } from "../support/sandbox.ts";

const SHOWN = executableFolder();

/** The tools of a Debian system, which a developer's machine may lack but CI does not. */
function needs(...programs: string[]): { ignore: boolean } {
  const isThere = (program: string) =>
    new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).outputSync()
      .success;
  const missing = programs.some((program) => !isThere(program));
  return { ignore: missing && Deno.env.get("CI") !== "true" };
}

const DPKG = { ignore: !HAS_SANDBOX || needs("dpkg", "dpkg-deb").ignore };

let made: Promise<Packages> | undefined;

function packages(): Promise<Packages> {
  return made ??= compiledAmpere().then((program) =>
    makePackages({ program, folder: SHOWN, compression: "quick" })
  );
}

async function run(program: string, args: string[]): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" })
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, said: text(stdout) + text(stderr) };
}

function read(path: string): Promise<string> {
  return Deno.readTextFile(join(PROJECT, path));
}

async function sha256(path: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path))).toHex();
}

/** Begins each script in the sandbox: no question can be answered, nothing slow runs. */
async function script(text: string): Promise<string> {
  const { debian } = await packages();
  return `
export DEBIAN_FRONTEND=noninteractive
dpkg --purge ampere > /dev/null 2>&1 || true
DEB=${debian}
install_ampere() { dpkg --no-triggers -i "$DEB" < /dev/null; }
# builds a package of the name $1 and version $2 from the folder $3
build() {
  mkdir -p "$3/DEBIAN"
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: test\n' \\
    "$1" "$2" > "$3/DEBIAN/control"
  dpkg-deb -Znone --root-owner-group --build "$3" "$3.deb" > /dev/null
}
${text}`;
}

// --- the packages --------------------------------------------------------------------------------

Deno.test("the Debian package has no fault that lintian knows", {
  ignore: DPKG.ignore || needs("lintian").ignore,
}, async () => {
  const { debian } = await packages();
  const args = ["--allow-root", "--fail-on", "error", "--fail-on", "warning", debian];
  const { code, said } = await run("lintian", args);
  assert.equal(code, 0, said);
});

Deno.test("the same files give the same packages", DPKG, async () => {
  const first = await packages();
  const folder = await Deno.makeTempDir({ dir: SHOWN });
  const program = await compiledAmpere();
  const second = await makePackages({ program, folder, compression: "quick" });
  assert.equal(await sha256(second.debian), await sha256(first.debian));
  assert.equal(await sha256(second.archive), await sha256(first.archive));
});

Deno.test("the version is the same everywhere", async () => {
  const version = await projectVersion();
  assert.match(await read("src/version.ts"), new RegExp(`VERSION = "${version}"`));
  assert.match(await read("packaging/debian/changelog"), new RegExp(`^ampere \\(${version}\\)`));
  assert.match(
    await read("packaging/ampere.8"),
    new RegExp(`^\\.TH AMPERE 8 "[^"]*" "Ampere ${version}"`),
  );
  const { debian, archive } = await packages();
  assert.ok(debian.endsWith(`/ampere_${version}_amd64.deb`));
  assert.ok(archive.endsWith(`/ampere-${version}-linux-x86_64.tar.gz`));
});

Deno.test("the archive holds the program and what goes with it", DPKG, async () => {
  const { archive } = await packages();
  const said = await doInSandbox(
    `mkdir /tmp/x && tar -C /tmp/x -xzf ${archive} && cd /tmp/x/* && stat -c '%a %n' * packaging/* && ./ampere -V`,
    SHOWN,
  );
  for (
    const line of [
      "755 ampere",
      "640 ampere.cfg",
      "644 LICENSE",
      "644 README.md",
      "755 docs",
      "644 packaging/ampere.service",
      "644 packaging/ampere.8",
      `ampere/${await projectVersion()}`,
    ]
  ) assert.ok(said.split("\n").includes(line), `${line} in\n${said}`);
});

// --- install, upgrade, remove, purge -------------------------------------------------------------

Deno.test(
  "install: everything in its place with its rights, nothing started, the next steps told",
  DPKG,
  async () => {
    const said = await doInSandbox(
      await script(`
install_ampere
stat -c '%a %U %G %n' /etc/ampere/ampere.cfg /var/lib/ampere /usr/lib/ampere/ampere \\
  /lib/systemd/system/ampere.service /etc/logrotate.d/ampere /usr/share/man/man8/ampere.8.gz
readlink -f /usr/sbin/ampere
ampere -V
ls -A /var/lib/ampere | wc -l
dpkg --verify ampere && echo verified
dpkg-query -W -f='\${Conffiles}\n' ampere
[ ! -e /usr/lib/ampere/ampere-0.2.3 ] && [ ! -e /etc/ampere/ampere.cfg.0.2.3 ] && echo clean
pgrep -x ampere || echo 'not running'
`),
      SHOWN,
    );
    for (
      const line of [
        "640 root root /etc/ampere/ampere.cfg",
        "750 root root /var/lib/ampere",
        "755 root root /usr/lib/ampere/ampere",
        "644 root root /lib/systemd/system/ampere.service",
        "644 root root /etc/logrotate.d/ampere",
        "644 root root /usr/share/man/man8/ampere.8.gz",
        "/usr/lib/ampere/ampere",
        `ampere/${await projectVersion()}`,
        "0",
        "verified",
        "clean",
        "not running",
        "  2. read setup.sh, then: sh setup.sh",
      ]
    ) assert.ok(said.split("\n").includes(line), `${line} in\n${said}`);
    assert.match(said, /\/etc\/ampere\/ampere.cfg [0-9a-f]{32}/);
    assert.doesNotMatch(said, /0\.2\.3|filter\.db/);
  },
);

Deno.test("upgrade: the administrator's configuration and the blocks stay", DPKG, async () => {
  const said = await doInSandbox(
    await script(`
install_ampere > /dev/null
echo 203.0.113.5 | ampere -a > /dev/null
echo '# mine' >> /etc/ampere/ampere.cfg
sha256sum < /etc/ampere/ampere.cfg > /tmp/before
mkdir /tmp/new && dpkg-deb -R "$DEB" /tmp/new
sed -i 's/^Version: .*/Version: 9.0.0/' /tmp/new/DEBIAN/control
dpkg-deb -Znone --build /tmp/new /tmp/new.deb > /dev/null
dpkg --no-triggers -i /tmp/new.deb < /dev/null
sha256sum < /etc/ampere/ampere.cfg | cmp - /tmp/before && echo same
stat -c %a /etc/ampere/ampere.cfg
ampere -l
`),
    SHOWN,
  );
  assert.match(said, /^same\n640\n +203\.0\.113\.5 \| since /m);
  assert.doesNotMatch(said, /not started yet/);
});

Deno.test(
  "remove leaves configuration and blocks, purge takes what is Ampere's and leaves filter.db",
  DPKG,
  async () => {
    const said = await doInSandbox(
      await script(`
install_ampere > /dev/null
echo 203.0.113.5 | ampere -a > /dev/null
echo precious > /var/lib/ampere/filter.db
touch /var/lib/ampere/ampere.db-wal /var/lib/ampere/ampere.db.damaged-1 /var/lib/ampere/page.token
mkdir /var/lib/ampere/ampere.db-feeds
touch /var/lib/ampere/ampere.db-feeds/spamhaus /etc/ampere/ampere.cfg.before-ampere
touch /var/log/ampere.log /var/log/ampere.log.1 /var/log/ampere.log.2.gz
dpkg --no-triggers -r ampere 2>&1
echo 'after remove:'
ls /etc/ampere /var/lib/ampere
[ ! -e /usr/lib/ampere ] && [ ! -e /usr/sbin/ampere ] && [ ! -L /usr/sbin/ampere ] && echo 'program gone'
dpkg --no-triggers -P ampere 2>&1
echo 'after purge:'
ls -d /etc/ampere /var/log/ampere* /etc/logrotate.d/ampere 2> /dev/null || true
ls /var/lib/ampere
cat /var/lib/ampere/filter.db
dpkg -l ampere 2> /dev/null | grep -c '^[a-z]' || true
`),
      SHOWN,
    );
    const [, removed, purged] = /after remove:\n(.*)after purge:\n(.*)$/s.exec(said)!;
    assert.match(removed!, /ampere\.cfg/);
    assert.match(removed!, /^ampere\.db$/m);
    assert.match(removed!, /^program gone$/m);
    assert.equal(purged, "filter.db\nprecious\n0\n");
  },
);

// Without the homes of people: other programs of this machine (npm, a shell) write there meanwhile.
Deno.test("purge after a plain life leaves nothing", DPKG, async () => {
  const said = await doInSandbox(
    await script(`
find / -xdev -path /proc -prune -o -path /tmp -prune -o -path /root -prune -o -path /home -prune -o -print | sort > /tmp/before
install_ampere > /dev/null
echo 203.0.113.5 | ampere -a > /dev/null
dpkg --no-triggers -P ampere > /dev/null
find / -xdev -path /proc -prune -o -path /tmp -prune -o -path /root -prune -o -path /home -prune -o -print | sort > /tmp/after
diff /tmp/before /tmp/after | grep '^[<>]' | grep -v -e /var/lib/dpkg -e /var/cache || true
`),
    SHOWN,
  );
  assert.equal(said, "");
});

// --- in place of Ampere 0.2.3 --------------------------------------------------------------------

/** What an installation of 0.2.3 by hand left: its program can list its own database. */
const ORIGINAL = `
mkdir -p /etc/ampere /var/lib/ampere /usr/lib/ampere
printf 'user = pbx\npass = s3cret#1\ntrust = 192.0.2.0/24\n' > /etc/ampere/ampere.cfg
chmod 600 /etc/ampere/ampere.cfg
sha256sum < /etc/ampere/ampere.cfg > /tmp/before
echo bdb > /var/lib/ampere/filter.db
printf '#!/bin/sh\n[ "$1" = -l ] && echo "     203.0.113.77 | since 2020-02-03 04:05:06"\n' > /usr/lib/ampere/ampere
chmod 755 /usr/lib/ampere/ampere
`;

/** Shows what became of it, and does what the message says. */
const TAKEN_OVER = `
sha256sum < /etc/ampere/ampere.cfg | cmp - /tmp/before && echo 'configuration unchanged'
stat -c '%a configuration' /etc/ampere/ampere.cfg
ls /etc/ampere
cat /var/lib/ampere/filter.db
/usr/lib/ampere/ampere-0.2.3 -l | ampere -a
ampere -l
`;

function assertTakenOver(said: string): void {
  assert.match(said, /^Your \/etc\/ampere\/ampere\.cfg was kept as it is\.$/m);
  assert.match(said, /^ {2}\/usr\/lib\/ampere\/ampere-0\.2\.3 -l \| ampere -a$/m);
  assert.match(said, /^configuration unchanged\n600 configuration\nampere\.cfg\nbdb$/m);
  assert.match(said, /^ +203\.0\.113\.77 \| since 2020-02-03 04:05:06/m);
}

Deno.test(
  "an installation of 0.2.3 by hand: its configuration is used, its blocks come over",
  DPKG,
  async () => {
    assertTakenOver(
      await doInSandbox(
        await script(`${ORIGINAL}
install_ampere 2>&1
${TAKEN_OVER}
dpkg --no-triggers -P ampere > /dev/null 2>&1
ls /usr/lib/ampere /etc/ampere 2> /dev/null || true
`),
        SHOWN,
      ),
    );
  },
);

Deno.test(
  "a package of 0.2.3 with a changed configuration: no question, the same",
  DPKG,
  async () => {
    assertTakenOver(
      await doInSandbox(
        await script(`${ORIGINAL}
mkdir -p /tmp/old/etc/ampere /tmp/old/usr/lib/ampere /tmp/old/DEBIAN
echo 'user = ampere' > /tmp/old/etc/ampere/ampere.cfg
cp -p /usr/lib/ampere/ampere /tmp/old/usr/lib/ampere/
cp -p /etc/ampere/ampere.cfg /tmp/mine
echo /etc/ampere/ampere.cfg > /tmp/old/DEBIAN/conffiles
build ampere 0.2.3 /tmp/old
dpkg --no-triggers --force-confnew -i /tmp/old.deb > /dev/null 2>&1
rm -f /etc/ampere/ampere.cfg.dpkg-old
cp -p /tmp/mine /etc/ampere/ampere.cfg
install_ampere 2>&1
${TAKEN_OVER}`),
        SHOWN,
      ),
    );
  },
);

Deno.test("an installation that fails puts the old configuration back", DPKG, async () => {
  const { code, out, err } = await runInSandbox(
    await script(`${ORIGINAL}
mkdir -p /tmp/other/usr/sbin
echo other > /tmp/other/usr/sbin/ampere
build other 1.0 /tmp/other
dpkg --no-triggers -i /tmp/other.deb > /dev/null
install_ampere && exit 9
sha256sum < /etc/ampere/ampere.cfg | cmp - /tmp/before
ls -A /etc/ampere /usr/lib/ampere
`),
    SHOWN,
  );
  assert.equal(code, 0, err);
  assert.match(err, /trying to overwrite '\/usr\/sbin\/ampere'/);
  assert.match(out, /\/etc\/ampere:\nampere\.cfg\n\n\/usr\/lib\/ampere:\nampere\n$/);
});

// --- what is in the package ----------------------------------------------------------------------

Deno.test("the unit has no mistake and a low exposure", {
  ignore: DPKG.ignore || needs("systemd-analyze").ignore,
}, async () => {
  // 25 means 2.5 of 10; an ordinary service of Debian has 9.6.
  const said = await doInSandbox(
    await script(`
install_ampere > /dev/null
systemd-analyze verify --man=no ampere.service 2>&1
systemd-analyze security --offline=true --threshold=25 --no-pager /lib/systemd/system/ampere.service 2>&1 | tail -n 1
systemd-analyze security --offline=true --threshold=25 /lib/systemd/system/ampere.service > /dev/null 2>&1
`),
    SHOWN,
  );
  assert.match(said.trim(), /^→ Overall exposure level for ampere.service: [0-2]\.[0-9] OK/);
});

Deno.test("the unit and the executable name the same folders", async () => {
  const unit = await read("packaging/ampere.service");
  for (
    const line of [
      "ExecStart=/usr/lib/ampere/ampere --journal -o /var/log/ampere.log",
      "StandardInput=file:/proc/net/route",
      "SyslogIdentifier=ampere",
      "Wants=asterisk.service",
      "CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW",
      "StateDirectory=ampere",
      "RuntimeDirectory=ampere",
      "RuntimeDirectoryPreserve=yes",
      "ReadWritePaths=/var/log -/run/xtables.lock",
    ]
  ) assert.ok(unit.split("\n").includes(line), line);
});

Deno.test("logrotate rotates the log and leaves a new one", {
  ignore: DPKG.ignore || needs("logrotate").ignore,
}, async () => {
  const said = await doInSandbox(
    await script(`
install_ampere > /dev/null
rm -f /var/log/ampere.log*
echo line > /var/log/ampere.log
logrotate --force --state /tmp/state /etc/logrotate.d/ampere
stat -c '%a %G %s %n' /var/log/ampere.log*
`),
    SHOWN,
  );
  assert.match(said, /^640 adm 0 \/var\/log\/ampere\.log$/m);
  assert.match(said, / 5 \/var\/log\/ampere\.log\.1$/m);
});

/** The options that --help tells, long and short. */
async function documentedOptions(): Promise<string[]> {
  const { code, said } = await run(await compiledAmpere(), ["--help"]);
  assert.equal(code, 0);
  const found = new Set(
    [...said.matchAll(/(?<![\w-])--?[a-zA-Z][a-z0-9-]*/g)].map(([option]) => option),
  );
  assert.ok(found.size >= 15, said);
  return [...found];
}

/** The keys of the configuration, from its example. */
async function documentedKeys(): Promise<string[]> {
  const keys = [...(await read("ampere.cfg")).matchAll(/^;?([a-z][a-z0-9_]*) = /gm)].map((
    [, key],
  ) => key!);
  assert.ok(keys.length >= 19);
  return keys;
}

Deno.test(
  "the manual page knows every option and every key, and is well formed",
  needs("man"),
  async () => {
    const page = join(PROJECT, "packaging/ampere.8");
    const { code, said } = await run("sh", [
      "-c",
      `man --warnings -E UTF-8 -l -Tutf8 -Z '${page}' 2>&1 > /dev/null`,
    ]);
    assert.deepEqual([code, said], [0, ""]);
    const text = (await Deno.readTextFile(page)).replaceAll("\\-", "-");
    for (const word of [...await documentedOptions(), ...await documentedKeys()]) {
      assert.match(text, new RegExp(`(?<![\\w-])${word}(?![\\w-])`), word);
    }
  },
);

Deno.test("bash completes every option, and files where files are wanted", async () => {
  const complete = async (...words: string[]) => {
    const list = words.map((word) => `'${word}'`).join(" ");
    const script = `cd ${PROJECT}; . packaging/completions/ampere.bash
      COMP_WORDS=(ampere ${list}); COMP_CWORD=${words.length}; _ampere; printf '%s\n' "\${COMPREPLY[@]}"`;
    const { code, said } = await run("bash", ["-euc", script]);
    assert.equal(code, 0, said);
    return said.trim().split("\n");
  };
  assert.deepEqual((await complete("-")).sort(), (await documentedOptions()).sort());
  assert.deepEqual(await complete("--rep"), ["--replay"]);
  assert.deepEqual(await complete("-c", "ampere.c"), ["ampere.cfg"]);
  assert.deepEqual(await complete("--replay", "ampere.c"), ["ampere.cfg"]);
});

Deno.test("fish completes every option", needs("fish"), async () => {
  const file = join(PROJECT, "packaging/completions/ampere.fish");
  const { code, said } = await run("fish", [
    "--no-config",
    "-c",
    `source ${file}; complete -C 'ampere -'; complete -C 'ampere --'`,
  ]);
  assert.equal(code, 0, said);
  const offered = new Set(said.trim().split("\n").map((line) => line.split("\t")[0]!));
  for (const option of await documentedOptions()) assert.ok(offered.has(option), option);
});

Deno.test("zsh accepts its completion, which knows every option", needs("zsh"), async () => {
  const file = join(PROJECT, "packaging/completions/_ampere");
  const { code, said } = await run("zsh", ["-f", "-n", file]);
  assert.equal(code, 0, said);
  const text = await Deno.readTextFile(file);
  for (const option of await documentedOptions()) {
    assert.match(text, new RegExp(`(?<![\\w-])${option}(?![\\w-])`), option);
  }
});
