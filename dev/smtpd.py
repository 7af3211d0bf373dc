#!/usr/bin/python3
"""SMTP sink: every mail becomes one file, complete as soon as its name is there.

X-MailFrom and X-RcptTo, put before the mail's own header, tell the envelope. While the file named by
--hold exists, the answer to the final dot is withheld: a mail is then taken and its sender does not know.
"""
import argparse
import asyncio
import itertools
import os
import signal
import time

from aiosmtpd.smtp import SMTP

MAX_MAIL_BYTES = 10 << 20
HOLD_POLL_S = 0.05


class Sink:
    def __init__(self, directory, hold):
        self.directory = directory
        self.hold = hold
        self.serial = itertools.count()

    async def handle_DATA(self, server, session, envelope):
        self.keep(envelope)
        while self.hold and os.path.exists(self.hold):
            await asyncio.sleep(HOLD_POLL_S)
        return "250 OK"

    def keep(self, envelope):
        name = f"{time.time_ns()}-{next(self.serial)}.eml"
        temporary = os.path.join(self.directory, f".{name}.tmp")
        with open(temporary, "wb") as out:
            out.write(f"X-MailFrom: {envelope.mail_from}\r\n".encode())
            for rcpt in envelope.rcpt_tos:
                out.write(f"X-RcptTo: {rcpt}\r\n".encode())
            out.write(envelope.original_content)
        os.rename(temporary, os.path.join(self.directory, name))


async def serve(args):
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stop.set)
    sink = Sink(args.directory, args.hold)
    server = await loop.create_server(
        lambda: SMTP(sink, hostname="localhost", data_size_limit=MAX_MAIL_BYTES, enable_SMTPUTF8=True),
        host=args.host,
        port=args.port,
    )
    await stop.wait()
    server.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hold", help="withhold the final answer while this file exists")
    parser.add_argument("directory", help="where the mails go")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
