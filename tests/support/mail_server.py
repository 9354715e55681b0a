"""A mail server (Debian's python3-aiosmtpd) that takes messages, or refuses them as told.

Arguments: JSON with `certificate` and `key` (files; "" for no TLS), `implicit` (TLS from the first
byte), `user` and `password` ("" for no login), `refuse`: a list of answers to RCPT in their order
("" for one that is taken, as the rest is); `stall`: says nothing after the greeting of a client.
Prints the port, then each message as a line of JSON.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, options):
        self.options = options
        self.refusals = list(options.get("refuse", []))

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        if self.options.get("stall"):
            print("stalls", flush=True)
            await asyncio.sleep(3600)
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        refusal = self.refusals.pop(0) if self.refusals else ""
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        login = session.auth_data
        told = {
            "helo": session.host_name,
            "tls": session.ssl is not None or server.options_implicit,
            "login": login.login.decode() if login else "",
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode("utf-8", "replace"),
        }
        print(json.dumps(told), flush=True)
        return "250 taken"


def main():
    options = json.loads(sys.argv[1])
    context = None
    if options.get("certificate"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options["certificate"], options["key"])
    implicit = bool(options.get("implicit"))
    user = options.get("user", "")

    def authenticate(server, session, envelope, mechanism, data):
        login, password = data.login.decode(), data.password.decode()
        isRight = login == user and password == options["password"]
        return AuthResult(success=isRight, handled=False, auth_data=data if isRight else None)

    handler = Handler(options)

    def protocol():
        server = SMTP(
            handler,
            hostname="mail.example.org",
            tls_context=None if implicit else context,
            require_starttls=context is not None and not implicit,
            authenticator=authenticate if user else None,
            auth_required=bool(user),
            auth_require_tls=not implicit,
            loop=loop,
        )
        server.options_implicit = implicit
        return server

    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(
        loop.create_server(protocol, "127.0.0.1", 0, ssl=context if implicit else None)
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    loop.run_forever()


main()
