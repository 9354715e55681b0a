#!/usr/bin/env bash
# sipsak answers a challenge although it was given no password
#
# Version:     sipsak 0.9.8.1-1 of Debian 12 (bookworm)
# Expectation: "sipsak -s sip:host", the usual way to see whether a server is there, has no user name and no password, so that
#              a challenge (401) is its result: the server is there. (RFC 3261, section 22.2, allows one more try without a
#              password, as "anonymous".)
# Behaviour:   it answers the challenge all the same, with an empty user name (or the user of the URI and "@") and the hash of
#              an empty password, and says "authorization failed" then. On the server that is a wrong password at each ping.
#              With a password ("-a") but without "-u" the user name is "100@", so that the right password fails too.
# Seen:        without a password: answers: 1, user name: "", response of 32 digits
#              with -a secret, user of the URI: answers: 1, user name: "100@"
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       Debian 12 with its package lists, python3, the libraries gnutls and c-ares. Uses the loopback interface and a
#              temporary folder, into which the package is unpacked.
set -euo pipefail

for program in apt-get dpkg python3; do
  command -v "$program" >/dev/null || { echo "$program is missing"; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The pinned packages, unpacked into the folder: nothing is installed.
fetch() {
  (cd "$folder" && apt-get download -qq "$@" >/dev/null 2>&1) || { echo "apt-get download $*: not to be had"; exit 2; }
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
}
fetch sipsak=0.9.8.1-1 libc-ares2=1.18.1-3
echo "sipsak 0.9.8.1-1"
libraries=$(dirname "$(find "$folder/root" -name 'libcares.so.2' | head -n 1)")
export LD_LIBRARY_PATH=$libraries PATH=$folder/root/usr/bin:$PATH

python3 - <<'END'
import re, socket, subprocess, sys

def ask(user, *options):
    """Lets sipsak ask a server that challenges everybody; the user names of its answers."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(0.2)
    port = server.getsockname()[1]
    ping = subprocess.Popen(["sipsak", *options, "-s", f"sip:{user}127.0.0.1:{port}"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    names = []
    for _ in range(100):
        try:
            request, sender = server.recvfrom(65535)
        except socket.timeout:
            if ping.poll() is not None:
                break
            continue
        text = request.decode()
        header = lambda name: re.search(rf"^{name}: *(.*)\r$", text, re.M | re.I).group(1)
        answer = re.search(r'^Authorization: .*username="([^"]*)".*response="([0-9a-f]{32})"', text, re.M)
        if answer:
            names.append(answer.group(1))
        server.sendto("".join(line + "\r\n" for line in [
            "SIP/2.0 401 Unauthorized", f"Via: {header('Via')}", f"From: {header('From')}",
            f"To: {header('To')};tag=server", f"Call-ID: {header('Call-ID')}",
            f"CSeq: {header('CSeq')}",
            'WWW-Authenticate: Digest realm="example", nonce="one", algorithm=MD5, qop="auth"',
            "Content-Length: 0", ""]).encode(), sender)
    if ping.poll() is None:
        ping.kill()
    ping.wait()
    return names

bare, named = ask(""), ask("100@", "-a", "secret")
print(f"without a password: answers: {len(bare)}, user names: {bare}")
print(f"with -a secret and the user 100 in the URI: answers: {len(named)}, user names: {named}")
ok = bare == [""] and named == ["100@"]
print("as seen before" if ok else "this has changed")
sys.exit(0 if ok else 1)
END
