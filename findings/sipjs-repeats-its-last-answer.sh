#!/usr/bin/env bash
# SIP.js begins each further registration with the digest of the one before it, unchanged
#
# Version:     sip.js 0.21.2 and ws 8.18.0 of npm, Node.js 18 or later
# Expectation: a page with a wrong password that calls Registerer.register() again is challenged and answers once more: one wrong
#              password a try. A client that uses a nonce again counts "nc" up (RFC 7616, section 3.4.5).
# Behaviour:   the second register() sends the whole answer of the first again, with the same nonce, cnonce, response and nc=00000001,
#              and then answers the new challenge: two wrong passwords a try, the first of them equal to one that was refused before,
#              over a connection on which nothing needs to be repeated. Whoever lets a repeated answer pass as a retransmission
#              over UDP only, counts such a page twice.
# Seen:        answers in three tries: 5, different answers: 3, nc: 00000001
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       node, npm and its registry. Uses the loopback interface and a temporary folder.
set -euo pipefail

for program in node npm; do
  command -v "$program" >/dev/null || { echo "$program is missing"; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit --ignore-scripts sip.js@0.21.2 ws@8.18.0 >/dev/null ||
  { echo "npm could not install it"; exit 2; }

cat >try.js <<'END'
const { WebSocket, WebSocketServer } = require("ws");
globalThis.WebSocket = WebSocket;
const { Registerer, UserAgent } = require("sip.js");

const TRIES = 3;
const answers = [];
// A registrar that lets nobody in.
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "sip" });
server.on("connection", (connection) => {
  let requests = 0;
  connection.on("message", (data) => {
    const text = String(data);
    if (!text.startsWith("REGISTER ")) return;
    const header = (name) => new RegExp(`^${name}: *(.*?)\r$`, "mi").exec(text)[1];
    const answer = /^Authorization: (.*?)\r$/mi.exec(text);
    if (answer) answers.push(answer[1]);
    connection.send([
      "SIP/2.0 401 Unauthorized",
      ...["Via", "From", "Call-ID", "CSeq"].map((name) => `${name}: ${header(name)}`),
      `To: ${header("To")};tag=registrar`,
      `WWW-Authenticate: Digest realm="example", nonce="n${++requests}", algorithm=MD5, qop="auth"`,
      "Content-Length: 0", "", "",
    ].join("\r\n"));
  });
});
server.on("listening", async () => {
  const agent = new UserAgent({
    uri: UserAgent.makeURI("sip:100@127.0.0.1"),
    transportOptions: { server: `ws://127.0.0.1:${server.address().port}` },
    authorizationUsername: "100",
    authorizationPassword: "wrong",
    logBuiltinEnabled: false,
  });
  await agent.start();
  const registerer = new Registerer(agent);
  for (let i = 0; i < TRIES; i++) {
    await new Promise((refused) => registerer.register({ requestDelegate: { onReject: refused } }));
  }
  const different = new Set(answers).size;
  const counts = [...new Set(answers.map((answer) => /nc=(\w+)/.exec(answer)?.[1]))];
  console.log(
    `answers in three tries: ${answers.length}, different answers: ${different}, nc: ${counts.join(" ")}`,
  );
  const ok = answers.length === 5 && different === 3 && counts.join() === "00000001";
  console.log(ok ? "as seen before" : "this has changed");
  process.exit(ok ? 0 : 1);
});
setTimeout(() => {
  console.log("no end within 20 s");
  process.exit(1);
}, 20_000);
END
node try.js
