#!/usr/bin/env bash
# Debian's busybox takes a class of tr for the letters of its name
#
# Version:     busybox-static 1:1.35.0-4+deb12u1+b1 of Debian 12 (bookworm)
# Expectation: tr -cd '[:print:]\n' keeps what can be printed, as POSIX says and every other tr does, or ends with an error
#              where classes are not supported.
# Behaviour:   it is built without classes, says nothing of that, ends with 0, and keeps the letters of ":print[]" alone.
#              Whoever makes text of strangers harmless by it in a script loses the text. Octal ranges do what they shall.
# Seen:        hello world  ->  with a class: "r", with '\040-\176\n': "hello world"
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       Debian 12 with its package lists. Uses a temporary folder, into which the package is unpacked.
set -euo pipefail

for program in apt-get dpkg; do
  command -v "$program" >/dev/null || { echo "$program is missing"; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq busybox-static=1:1.35.0-4+deb12u1+b1 >/dev/null 2>&1) ||
  { echo "apt-get download busybox-static: not to be had"; exit 2; }
dpkg -x "$folder"/*.deb "$folder/root"
busybox=$folder/root/bin/busybox
"$busybox" | head -n 1

status=0
by_class=$(echo 'hello world' | "$busybox" tr -cd '[:print:]\n') || status=$?
by_range=$(echo 'hello world' | "$busybox" tr -cd '\040-\176\n')
echo "with a class: \"$by_class\" (code $status); with a range: \"$by_range\""
if [ "$by_class" = r ] && [ "$status" -eq 0 ] && [ "$by_range" = 'hello world' ]; then
  echo "as seen before"
else
  echo "this has changed"
  exit 1
fi
