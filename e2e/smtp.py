"""A mail server that a test drives: it holds a delivery at a chosen point and answers what it is told."""

import socket
import threading

# in the order a delivery comes to them
POINTS = ("connect", "from", "rcpt", "data", "body", "dot")
ANSWERS = {"connect": "220 test", "from": "250 OK", "rcpt": "250 OK", "data": "354 go on", "dot": "250 kept"}
HALF = 400  # bytes of the mail that are read before it is held at "body"


class Hold:
    """One delivery is stopped at a point until it is let go or dropped."""

    def __init__(self, point):
        self.point = point
        self.reached = threading.Event()
        self.decided = threading.Event()
        self.dropped = False

    def wait(self, seconds=30):
        if not self.reached.wait(seconds):
            raise TimeoutError(f"no delivery came to \"{self.point}\" within {seconds} s")

    def go(self):
        self.decided.set()

    def drop(self):
        """The server forgets this delivery and its connection."""
        self.dropped = True
        self.decided.set()


class Dropped(Exception):
    pass


class Smtp:
    """`mails` are those it took: (sender, recipients, bytes). `replies[point]` come once each, before the usual.
    With `is_closed` it asks for a password and likes none."""

    def __init__(self, is_closed=False):
        self.is_closed = is_closed
        self.mails = []
        self.replies = {}
        self.quits = 0
        self.held = {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"smtp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for hold in self.held.values():
            hold.drop()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def hold(self, point):
        assert point in POINTS, point
        self.held[point] = Hold(point)
        return self.held[point]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            try:
                self._talk(connection, lines)
            except (OSError, Dropped):
                pass

    def _pause(self, point):
        hold = self.held.pop(point, None)
        if hold is not None:
            hold.reached.set()
            hold.decided.wait()
            if hold.dropped:
                raise Dropped

    def _say(self, connection, point):
        """The answer at a point; true if it is a good one."""
        self._pause(point)
        due = self.replies.get(point)
        text = due.pop(0) if due else ANSWERS[point]
        connection.sendall(text.encode() + b"\r\n")
        return text[0] in "23"

    def _talk(self, connection, lines):
        self._say(connection, "connect")
        sender, recipients = None, []
        for line in lines:
            word, _, rest = line.decode().strip().partition(" ")
            address = rest.partition("<")[2].partition(">")[0]
            if word == "MAIL" and self._say(connection, "from"):
                sender, recipients = address, []
            elif word == "RCPT" and self._say(connection, "rcpt"):
                recipients.append(address)
            elif word == "DATA" and self._say(connection, "data"):
                self._take(connection, lines, sender, recipients)
            elif word == "QUIT":
                self.quits += 1
                connection.sendall(b"221 bye\r\n")
                return
            elif word == "AUTH":
                connection.sendall(b"535 5.7.8 not with this password\r\n")
            elif word in ("EHLO", "HELO", "RSET"):
                connection.sendall(b"250-test\r\n250 AUTH PLAIN\r\n" if self.is_closed else b"250 test\r\n")

    def _take(self, connection, lines, sender, recipients):
        data = b""
        for line in lines:
            if len(data) > HALF:
                self._pause("body")
            if line == b".\r\n":
                break
            data += line[1:] if line.startswith(b".") else line
        else:
            return  # no final dot, no mail
        if not self.replies.get("dot"):
            self.mails.append((sender, recipients, data))  # kept before the answer, as servers do
        self._say(connection, "dot")
