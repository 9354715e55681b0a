#!/usr/bin/env bash
# baresip answers one challenge fifteen times
#
# Version:     baresip-core 1.0.0-4+b3, libre0 1.1.0-1+b2, librem0 0.6.0-4 of Debian 12 (bookworm), amd64
# Expectation: a phone with a wrong password answers the challenge (401) once, is told 401 again with the same nonce and without
#              stale=true, and gives up or rests: RFC 3261, section 22.2, lets a client try again only with other credentials.
# Behaviour:   it answers fifteen times within some milliseconds: the same Call-ID, the same nonce, the same password, and another
#              cnonce each time, so that no two answers are equal. Then it rests for half a minute.
#              Whoever counts wrong answers takes one mistyped password for a guesser.
# Seen:        answers to the first challenge: 15, within 1 ms (5 to 14 ms with Asterisk); Call-IDs: 1, nonces: 1, different answers: 15
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       Debian 12 with its package lists, root or user namespaces, python3, iproute2. Everything happens in a temporary
#              folder, into which the packages are unpacked, and in a network namespace.
set -euo pipefail

for program in apt-get dpkg python3 unshare ip; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || { echo "$program is missing"; exit 2; }
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The pinned packages, unpacked into the folder: nothing is installed.
fetch() {
  (cd "$folder" && apt-get download -qq "$@" >/dev/null 2>&1) || { echo "apt-get download $*: not to be had"; exit 2; }
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
}
fetch baresip-core=1.0.0-4+b3 libre0=1.1.0-1+b2 librem0=0.6.0-4
echo "baresip-core 1.0.0-4+b3"
modules=$folder/root/usr/lib/baresip/modules
libraries=$(dirname "$(find "$folder/root" -name 'libre.so.0' | head -n 1)")
export LD_LIBRARY_PATH=$libraries PATH=$folder/root/usr/bin:$PATH
cat >"$folder/config" <<END
sip_listen 192.0.2.2:5060
module_path $modules
module g711.so
module_app account.so
module_app menu.so
END
echo '<sip:100@192.0.2.2:5080>;auth_pass=wrong;regint=60' >"$folder/accounts"
touch "$folder/contacts"

# A registrar that lets nobody in.
cat >"$folder/registrar.py" <<'END'
import re, socket, subprocess, sys, time

folder = sys.argv[1]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("192.0.2.2", 5080))
server.settimeout(0.2)
phone = subprocess.Popen(["baresip", "-f", folder], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
answers, calls, end = [], set(), time.monotonic() + 15
try:
    while time.monotonic() < end:
        try:
            request, sender = server.recvfrom(65535)
        except socket.timeout:
            # It rests.
            if answers and time.monotonic() - answers[-1][0] > 2:
                break
            continue
        text = request.decode()
        header = lambda name: re.search(rf"^{name}: *(.*)\r$", text, re.M | re.I).group(1)
        if not text.startswith("REGISTER "):
            continue
        answer = re.search(r'nonce="([^"]*)".*response="([^"]*)"', text)
        if answer:
            answers.append((time.monotonic(), *answer.groups()))
            calls.add(header("Call-ID"))
        server.sendto("".join(line + "\r\n" for line in [
            "SIP/2.0 401 Unauthorized", f"Via: {header('Via')}", f"From: {header('From')}",
            f"To: {header('To')};tag=registrar", f"Call-ID: {header('Call-ID')}",
            f"CSeq: {header('CSeq')}",
            'WWW-Authenticate: Digest realm="example", nonce="one", algorithm=MD5, qop="auth"',
            "Content-Length: 0", ""]).encode(), sender)
finally:
    phone.terminate()
    phone.wait()
span = round(1000 * (answers[-1][0] - answers[0][0])) if answers else 0
print(f"answers to the first challenge: {len(answers)}, within {span} ms; Call-IDs: {len(calls)}, "
      f"nonces: {len({a[1] for a in answers})}, different answers: {len({a[2] for a in answers})}")
ok = len(answers) == 15 and len(calls) == 1 and len({a[2] for a in answers}) == 15
print("as seen before" if ok else "this has changed")
sys.exit(0 if ok else 1)
END

share=(--net)
[ "$(id -u)" -eq 0 ] || share=(--user --map-root-user --net)
PATH=$PATH:/usr/sbin:/sbin unshare "${share[@]}" bash -euc '
  ip link set lo up
  # It does not use the address of a loopback interface.
  ip link add phone type dummy 2>/dev/null || ip link add phone type veth peer name other
  ip address add 192.0.2.2/24 dev phone
  ip link set phone up
  exec python3 "$1/registrar.py" "$1"' bash "$folder"
