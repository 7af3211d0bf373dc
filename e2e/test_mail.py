#!/usr/bin/python3
"""Mails: one for each event, complete, harmless; the notifier dies at every point of a delivery."""

import base64
import contextlib
import email
import email.policy
import hashlib
import hmac
import json
import pathlib
import signal
import subprocess
import tempfile
import urllib.parse

from lib import (RUN, User, check, clip, expire_leases, freeze, hasten, janitor_pass, kill, link_of, looped, mail_of,
                 mails, main, own_environ, own_process, request, sql, stop, thaw, up, value, wait,
                 wait_ready)
from smtp import Smtp


def parse(data):
    return email.message_from_bytes(data, policy=email.policy.default)


def notify_job(media_id):
    """(state, attempt, error_code) of the last notify job of a media."""
    row = sql("SELECT state, attempt, error_code FROM media.jobs WHERE media_id = %s AND step = 'notify' "
              "ORDER BY ordinal DESC LIMIT 1", media_id)
    return row[0] if row else (None, 0, None)


def silent_video():
    """A video without a sound track, made of the clip."""
    out = RUN / "tmp" / "no-sound.mp4"
    if not out.exists():
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip(), "-an", "-c", "copy", out], check=True)
    return out


class Delivery:
    """The system's notifier stands still; mails go through one of our own to a server of our own."""

    def __init__(self, **env):
        self.env = {"MEDIA_HEALTH_FILE": "", "MEDIA_POLL_S": "1", **env}
        self.server = Smtp()
        self.process = None

    def __enter__(self):
        freeze("notifier-1")  # its environment is the pattern of ours
        return self

    def start(self, **env):
        self.process = own_process("notifier-1", **{**self.env, "MEDIA_SMTP_URL": self.server.url, **env})

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def again(self):
        """The next attempt, by a new process, when the lease is over."""
        expire_leases()
        self.start()

    def sent(self, media_id):
        return [m for m in self.server.mails if media_id.encode() in m[2]]

    def done(self, media_id, state="succeeded", seconds=60):
        wait(f"the notify job has {state}", lambda: notify_job(media_id)[0] == state, seconds)

    def __exit__(self, *_):
        self.kill()
        self.server.close()
        thaw("notifier-1")


def ready_media(user, **kw):
    media_id = user.upload(looped(1), **kw)
    media = user.settled(media_id)
    assert media["state"] == "ready", media["error"]
    return media_id


# ---- what is in it ----

def test_ready():
    """a mail has text and HTML, the id and a link that works without a header"""
    user = User()
    media_id = ready_media(user)
    path, data, message = mail_of(media_id)
    check(b"X-RcptTo: " + user.email.encode() + b"\r\n" in data, "it goes to the owner", data[:300])
    check(data.count(b"X-RcptTo:") == 1 and message["To"] == user.email, "and to nobody else", message["To"])
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    check(message.get_content_type() == "multipart/alternative", "text and HTML", message.get_content_type())
    link = link_of(message)
    check(media_id in text and media_id in html, "the id is in both", text)
    check(link in text and link in html, "the link is in both", html)
    check(message["Message-ID"] and message["Date"] and message["Auto-Submitted"] == "auto-generated",
          "Message-ID, Date, Auto-Submitted", message.items())
    by_link = request("GET", link)
    mine = user.request("GET", f"/download?fid={media_id}")
    check(by_link.status == 200 and by_link.body == mine.body, "the link works without a header", by_link.status)
    head = request("HEAD", link)
    check(head.status == 200 and int(head.headers["Content-Length"]) == len(mine.body), "HEAD of the link", head)
    wait("the notify job is done", lambda: notify_job(media_id)[0] == "succeeded", 30)
    check(len(mails(media_id)) == 1, "one mail")


def test_failed():
    """a failed media mails its cause, and again when it fails again"""
    user = User()
    media_id = user.upload(silent_video(), name="stumm.mp4")
    media = user.settled(media_id)
    check(media["state"] == "failed", "a video without sound fails", media["state"])
    _, data, message = mail_of(media_id)
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    check(media["error"]["detail"] in text and media["error"]["detail"] in html, "the cause is in the mail", text)
    check("/play/" not in text, "there is no link")
    check(media_id in text and "stumm.mp4" in message["Subject"], "id and name", message["Subject"])
    job = media["jobs"][0]["id"]
    subprocess.run(["mediactl", "job", "retry", job], check=True, stdout=subprocess.DEVNULL)
    wait("a second mail", lambda: len(mails(media_id)) == 2, 60)
    first, second = (m[2]["Message-ID"] for m in mails(media_id))
    check(first != second, "the second failure is an event of its own: another Message-ID", first)


def forged(claims, key):
    """A token with these claims, signed as playback tokens are."""
    def b64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    head = b64(b'{"alg":"HS256","typ":"JWT"}') + b"." + b64(json.dumps(claims).encode())
    return (head + b"." + b64(hmac.new(key, head, hashlib.sha256).digest())).decode()


def test_links():
    """an expired, altered or foreign link is refused"""
    user = User()
    media_id = ready_media(user)
    _, _, message = mail_of(media_id)
    link = link_of(message)
    _, play, token, output = link.split("/")
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    key = (RUN / "secrets" / "play-key").read_bytes().strip()
    access_key = (RUN / "secrets" / "jwt-key").read_bytes().strip()
    check(request("GET", f"/play/{forged(claims, key)}/{output}").status == 200, "(our way to sign is the right one)")
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    other = {**claims, "sub": ready_media(user)}
    moved = base64.urlsafe_b64encode(json.dumps(other).encode()).rstrip(b"=").decode()
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for name, bad in (("altered signature", f"{head}.{payload}.{flipped}"),
                      ("claims of another media", f"{head}.{moved}.{signature}"),
                      ("cut", token[:-5]), ("no signature", f"{head}.{payload}."), ("alg none", f"{none}.{payload}."),
                      ("the key of access tokens", forged(claims, access_key)),
                      ("an access token", user.token), ("expired", forged({**claims, "exp": 1700000000}, key)),
                      ("an old epoch", forged({**claims, "epoch": claims["epoch"] + 1}, key))):
        answer = request("GET", f"/play/{bad}/{output}")
        wanted = 404 if name == "an old epoch" else 401
        check(answer.status == wanted and answer.headers["Content-Type"] == "application/problem+json",
              f"{name}: {wanted}", answer)
    with Delivery(MEDIA_LINK_TTL_S="60") as d:
        media_id = ready_media(user)
        sql("UPDATE media.jobs SET params = params || jsonb_build_object('at', (params->>'at')::bigint - 61) "
            "WHERE media_id = %s AND step = 'notify'", media_id)
        d.start()
        d.done(media_id)
        answer = request("GET", link_of(parse(d.sent(media_id)[0][2])))
        check(answer.status == 401 and answer.json["code"] == "token_expired", "a link ends after its time", answer)


def test_names():
    """names and titles in UTF-8 arrive as they are, markup and line ends do no harm"""
    user = User()
    name = "Grüße 你好 🎬 naïve – ½.mp4"
    media_id = ready_media(user, name=name, query="?title=" + urllib.parse.quote("Über «alles» 日本語"))
    _, data, message = mail_of(media_id)
    text = message.get_body(("plain",)).get_content()
    check(name in message["Subject"], "UTF-8 name in the subject", message["Subject"])
    check(name in text and "Über «alles» 日本語" in text, "UTF-8 name and title in the text", text)
    check(all(byte < 128 for byte in data.partition(b"\r\n\r\n")[0]), "the header is ASCII (RFC 2047)")
    check(max(len(line) for line in data.split(b"\r\n")) <= 998, "no line is too long")

    evil = "a\r\nBcc: evil@example.org\r\n\r\n<script>alert(1)</script>\n.\n=?UTF-8?Q?Bcc?=.mp4"
    title = "t\r\nBcc: evil@example.org\r\n.\r\n<img src=x onerror=alert(1)>{{link}}"
    answer = user.put(looped(1), name=evil, query="?title=" + urllib.parse.quote(title))
    second = user.post_form(looped(1).read_bytes(), "a%0d%0aBcc: evil@example.org%0d%0a.mp4", title=title)
    for how, answer in (("PUT", answer), ("form", second)):
        if answer.status == 400:
            check(answer.json["code"], f"{how}: line ends in a name are refused", answer)
            continue
        check(answer.status == 201, f"{how}: line ends in a name: taken or refused", answer)
        media_id = answer.json["id"]
        _, data, message = mail_of(media_id)
        html = message.get_body(("html",)).get_content()
        header = {k.lower() for k in message.keys()}
        check(not header & {"bcc", "cc"} and message["To"] == user.email, f"{how}: no header is injected", header)
        check(header == {h.lower() for h in mail_of(ready_media(user))[2].keys()}, f"{how}: the usual header", header)
        check("<script" not in html and "<img" not in html, f"{how}: no markup is injected", html)
        check("{{" in html and html.count("/play/") == 1, f"{how}: the title is no template", html)
        check(data.count(b"X-RcptTo:") == 1, f"{how}: one recipient")


def test_addresses():
    """an account's address cannot carry a header or a second recipient"""
    for address in ("a@b.org\r\nBcc: evil@example.org", "a@b.org\nX: y", "a b@c.org", "a@b.org\x01"):
        done = subprocess.run(["mediactl", "user", "add", address, "--password-stdin"], input="pass word 1234",
                              text=True, capture_output=True)
        check(done.returncode == 2, f"mediactl refuses {address!r}", done.stderr)
        try:
            sql("INSERT INTO media.users (email, password_hash) VALUES (%s, '$x')", address)
            check(False, f"the database refuses {address!r}")
        except Exception as error:
            check("check constraint" in str(error), f"the database refuses {address!r}", error)
    user = User()
    two = f"{user.email},evil@example.org"
    sql("UPDATE media.users SET email = %s WHERE email = %s", two, user.email)
    media_id = ready_media(user)
    wait("the notify job has ended", lambda: notify_job(media_id)[0] in ("failed", "succeeded"), 60)
    check(notify_job(media_id)[0] == "failed", "two addresses in one: no mail", notify_job(media_id))
    check(not mails(media_id), "nobody got one")
    check(user.media(media_id)["state"] == "ready", "the media stays ready")


# ---- the notifier dies ----

def killed_at(point, copies):
    """kill -9 while the server holds the delivery at a point"""
    user = User()
    with Delivery() as d:
        media_id = ready_media(user)
        hold = d.server.hold(point)
        d.start()
        hold.wait()
        check(notify_job(media_id)[:2] == ("running", 1), f"killed at {point}: the job runs", notify_job(media_id))
        d.kill()
        hold.drop()
        d.again()
        d.done(media_id)
        sent = d.sent(media_id)
        check(len(sent) == copies, f"killed at {point}: {copies} mail(s)", len(sent))
        check(len({m[2] for m in sent}) == 1, f"killed at {point}: the same bytes, the same Message-ID",
              [parse(m[2])["Message-ID"] for m in sent])
        check(all(m[1] == [user.email] for m in sent), f"killed at {point}: to the owner", [m[1] for m in sent])
        check(notify_job(media_id)[1] == 2, f"killed at {point}: at the second attempt", notify_job(media_id))


def test_killed_before_claim():
    """the notifier dies while it has nothing: the next one sends the mail"""
    user = User()
    with Delivery() as d:
        d.start()
        wait("it is connected", lambda: value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'media_notifier' "
                                              "AND application_name LIKE '%%notifier%%'") >= 2, 30)
        d.process.send_signal(signal.SIGSTOP)
        media_id = ready_media(user)
        d.kill()
        check(notify_job(media_id)[:2] == ("queued", 0), "killed before the claim: the job waits", notify_job(media_id))
        d.start()
        d.done(media_id)
        check(len(d.sent(media_id)) == 1 and notify_job(media_id)[1] == 1, "killed before the claim: one mail")


def test_killed_before_the_dot():
    """the notifier dies before the server has the whole mail: one mail"""
    for point in ("connect", "rcpt", "data", "body"):
        killed_at(point, 1)


def test_killed_after_the_dot():
    """the server has the mail, the notifier does not know: the same mail again"""
    killed_at("dot", 2)


def accepted_without_a_database(d, user):
    """Brings a delivery to the point where the mail is accepted and our commit cannot be made."""
    media_id = ready_media(user)
    hold = d.server.hold("dot")
    d.start()
    hold.wait()
    freeze("postgres")
    hold.go()
    wait("the notifier has the answer", lambda: d.server.quits > 0, 30)
    return media_id


def test_killed_before_the_commit():
    """the mail is accepted, the notifier and the database die before the commit: the same mail again"""
    user = User()
    with Delivery() as d:
        media_id = accepted_without_a_database(d, user)
        d.kill()
        kill("postgres")
        up("postgres")
        wait_ready()
        d.again()
        d.done(media_id)
        sent = d.sent(media_id)
        check(len(sent) == 2 and sent[0] == sent[1], "killed before the commit: two identical mails",
              [parse(m[2])["Message-ID"] for m in sent])


def test_database_away_at_the_commit():
    """the mail is accepted, the database restarts: the commit is said again, one mail"""
    user = User()
    with Delivery() as d:
        media_id = accepted_without_a_database(d, user)
        kill("postgres")
        up("postgres")
        wait_ready()
        d.done(media_id)
        janitor_pass()
        check(len(d.sent(media_id)) == 1 and notify_job(media_id)[1] == 1, "one mail, one attempt",
              notify_job(media_id))


# ---- the server does not want it ----

def test_put_off():
    """451, then 250: one mail in the end"""
    user = User()
    with Delivery() as d:
        media_id = ready_media(user)
        d.server.replies = {"rcpt": ["451 4.3.0 try again"], "dot": ["452 4.3.1 full"], "from": ["421 4.3.2 not now"]}
        d.start()
        for attempt in (1, 2, 3):
            wait(f"attempt {attempt} is put off", lambda: notify_job(media_id)[:2] == ("queued", attempt), 30)
            check(notify_job(media_id)[2] == "mail_not_sent", f"attempt {attempt}: mail_not_sent", notify_job(media_id))
            hasten()
        d.done(media_id)
        check(len(d.sent(media_id)) == 1 and notify_job(media_id)[1] == 4, "one mail at the fourth attempt")


def test_refused():
    """550: the job fails, the media stays ready, nothing is tried again"""
    user = User()
    for point in ("rcpt", "dot"):
        with Delivery() as d:
            media_id = ready_media(user)
            d.server.replies = {point: ["550 5.1.1 no such user"]}
            d.start()
            d.done(media_id, "failed")
            check(notify_job(media_id)[1:] == (1, "mail_refused"), f"550 at {point}: mail_refused", notify_job(media_id))
            check(user.media(media_id)["state"] == "ready", f"550 at {point}: the media stays ready")
            hasten()
            other = ready_media(user)
            d.done(other)
            check(len(d.sent(other)) == 1 and not d.sent(media_id), f"550 at {point}: the next mail goes out")


def test_server_away():
    """no mail server: tried again until it is there"""
    user = User()
    stop("smtp")
    with contextlib.ExitStack() as stack:
        stack.callback(up, "smtp")
        media_id = ready_media(user)
        wait("an attempt has failed", lambda: notify_job(media_id)[2] == "mail_not_sent", 60)
        check(user.media(media_id)["state"] == "ready", "the media is ready without its mail")
    hasten()
    wait("the notify job is done", lambda: notify_job(media_id)[0] == "succeeded", 60)
    check(len(mails(media_id)) == 1, "one mail once the server is back")


def test_secrets_in_files():
    """no secret in the environment: what is in files is read again, so an exchanged one needs no restart"""
    user = User()
    base, _ = own_environ("notifier-1")
    password = pathlib.Path(base["PGPASSFILE"]).read_text().strip().rsplit(":", 1)[1]
    with tempfile.TemporaryDirectory() as name, Delivery() as d:
        files = pathlib.Path(name)

        def put(file, text):
            (files / file).write_text(text + "\n")
            (files / file).chmod(0o600)

        put("pg_service.conf", f"[media]\nhost={base['PGHOST']}\nport={base['PGPORT']}\ndbname=media\n"
                               f"user=media_notifier\npassword={password}")
        put("amqp", base["AMQP_URL"])
        put("smtp", "smtp://127.0.0.1:1")
        gone = {variable: None for variable in base if variable.startswith("PG") or variable == "AMQP_URL"}
        d.start(**gone, PGSERVICEFILE=str(files / "pg_service.conf"), PGSERVICE="media", AMQP_URL_FILE=str(files / "amqp"),
                MEDIA_SMTP_URL=None, MEDIA_SMTP_URL_FILE=str(files / "smtp"))
        media_id = ready_media(user)
        wait("an attempt has failed", lambda: notify_job(media_id)[2] == "mail_not_sent", 60)
        put("smtp", d.server.url)
        hasten()
        d.done(media_id)
        check(len(d.sent(media_id)) == 1, "one mail, by a server that is only in the file")
        environ = pathlib.Path(f"/proc/{d.process.pid}/environ").read_text()
        check(not any(secret in environ for secret in (password, "amqp://", "smtp://")), "no secret in its environment")


main(test_ready, test_failed, test_links, test_names, test_addresses, test_killed_before_claim,
     test_killed_before_the_dot, test_killed_after_the_dot, test_killed_before_the_commit,
     test_database_away_at_the_commit, test_put_off, test_refused, test_server_away,
     test_secrets_in_files)
