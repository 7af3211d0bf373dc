#!/usr/bin/python3
"""The body of an upload never touches nginx's disk, downloads write to their cache alone, and what nginx holds in memory
is bounded."""

import fcntl
import pathlib
import re
import struct
import subprocess
import tempfile
import termios
import threading
import time

from lib import (RUN, SlowUpload, User, check, connect, freeze, kill, main, media_like,
                 nginx_workers as workers, note, nothing_left, skip, sql, thaw, up, value, wait, wait_ready)

SIZE = 64 << 20
WRITTEN_MAX = 64 << 10  # bytes, with the access log's pages in it
TEMP = (RUN / "data").resolve() / "nginx"
CONF = (RUN / "conf" / "nginx.conf").read_text()
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "": 1}
STILL_S = 0.7  # nothing moved for so long: whoever sends is held back


def configured(directive):
    number, unit = re.search(rf"^\s*{directive} (\d+)([kmg]?);", CONF, re.M).groups()
    return int(number) * UNITS[unit]


def written(pid):
    return int(re.search(r"^write_bytes: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text(), re.M).group(1))


def memory(pid, field="VmRSS"):
    return int(re.search(rf"^{field}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1)) << 10


def forget_peaks():
    for pid in workers():
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def on_disk():
    """Is the directory on a real disk? On tmpfs write_bytes stays 0 whatever happens."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", TEMP], capture_output=True, text=True, check=True).stdout.strip()
    return kind not in ("tmpfs", "ramfs")


class TempWatch:
    """What is written below nginx's temporary paths, by inotify."""

    def __enter__(self):
        self.log = tempfile.NamedTemporaryFile("r", dir=RUN / "tmp")
        self.process = subprocess.Popen(
            ["inotifywait", "-m", "-q", "-r", "-e", "create", "-e", "modify", "-e", "moved_to", "--format", "%w%f",
             "--exclude", r"/pgpass$", "-o", self.log.name, str(TEMP)])
        self.probe = TEMP / "body" / "probe"

        def sees():
            self.probe.write_text("x")
            self.probe.unlink()
            return "probe" in pathlib.Path(self.log.name).read_text()
        wait("inotify is at work", sees, 20, 0.1)
        self.before = len(self._lines())
        return self

    def _lines(self):
        return [line for line in pathlib.Path(self.log.name).read_text().splitlines() if not line.endswith("/probe")]

    def seen(self):
        """Everything up to now: events come in order, so after the probe's."""
        count = pathlib.Path(self.log.name).read_text().count("/probe")
        self.probe.write_text("x")
        self.probe.unlink()
        wait("inotify's own probe", lambda: pathlib.Path(self.log.name).read_text().count("/probe") > count, 10)
        return self._lines()[self.before:]

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def pieces(body, size=1 << 20):
    for at in range(0, len(body), size):
        yield body[at:at + size]


def slow_download(user, media_id):
    """Asks for a body and reads it only when nginx can send no more."""
    c = connect()
    c.request("GET", f"/media/{media_id}/original", headers={"Authorization": "Bearer " + user.token})
    still(lambda: struct.unpack("i", fcntl.ioctl(c.sock, termios.FIONREAD, b"\0" * 4))[0])
    response = c.getresponse()
    status, length = response.status, len(response.read())
    c.close()
    return status, length


def still(measure, seconds=60):
    """Waits until a growing figure grows no more; the figure."""
    last, since = measure(), time.monotonic()

    def probe():
        nonlocal last, since
        now = measure()
        if now != last:
            last, since = now, time.monotonic()
        return last and time.monotonic() - since > STILL_S
    wait("nothing moves any more", probe, seconds)
    return last


def test_bodies():
    """64 MiB raw, form-data, chunked: no file, no bytes written; down again: cached; all with little memory"""
    user = User()
    body = media_like(SIZE)
    user.put(media_like(5000))
    part = configured("media_s3_part_size")
    wait_ready()
    forget_peaks()
    with TempWatch() as watch:
        pid_before = workers()
        before = {pid: (written(pid), memory(pid)) for pid in pid_before}

        def account(name, bound):
            files = watch.seen()
            check(not files, f"{name}: no file in nginx's temporary paths", files[:5])
            grow(name, bound)

        def grow(name, bound):
            grown = {pid: memory(pid, "VmHWM") - before[pid][1] for pid in pid_before}
            check(max(grown.values()) < bound, f"{name}: nginx grew by less than {bound >> 20} MiB",
                  {pid: f"{n / (1 << 20):.1f} MiB" for pid, n in grown.items()})

        answer = user.put(body)
        check(answer.status == 201 and answer.json["size"] == SIZE, "raw: 201", answer)
        account("raw", 8 << 20)
        media_id = answer.json["id"]
        answer = user.post_form(body)
        check(answer.status == 201 and answer.json["size"] == SIZE, "form-data: 201", answer)
        account("form-data", 5 * part)
        answer = user.request("PUT", "/upload/a.mp4", pieces(body))
        check(answer.status == 201 and answer.json["size"] == SIZE, "chunked: 201", answer)
        account("chunked", 5 * part)
        check(workers() == pid_before, "the same nginx processes")
        total = sum(written(pid) - before[pid][0] for pid in pid_before)
        note(f"nginx wrote {total} bytes for 192 MiB; peaks " + ", ".join(
            f"{memory(pid, 'VmHWM') / (1 << 20):.1f} MiB" for pid in pid_before))
        forget_peaks()
        before = {pid: (written(pid), memory(pid)) for pid in pid_before}
        check(slow_download(user, media_id) == (200, SIZE), "download: 200, all of it")
        files = watch.seen()
        check(files, "download: it is cached")
        check(all(file.startswith(f"{TEMP}/cache/") for file in files), "download: nothing else is written", files[:5])
        grow("slow download", 8 << 20)
        if on_disk():
            check(total < WRITTEN_MAX, f"nginx wrote less than {WRITTEN_MAX >> 10} KiB", total)
        else:
            skip("bytes that nginx wrote", f"{TEMP} is not on a disk")


def test_s3_stands_still():
    """S3 does not take anything: the client is held back, nothing piles up"""
    user = User()
    upload = SlowUpload(user, SIZE)
    upload.send(media_like(100000))
    wait("the intent row", lambda: value("SELECT count(*) FROM media.uploads u JOIN media.users o ON o.id = u.owner_id "
                                         "WHERE o.email = %s", user.email), 20)
    forget_peaks()
    before = {pid: memory(pid) for pid in workers()}
    body = b"x" * (SIZE - 100000)
    with TempWatch() as watch:
        freeze("s3")
        taken = 0

        def send():
            nonlocal taken
            for piece in pieces(body, 1 << 16):
                upload.c.sock.sendall(piece)
                taken += len(piece)
        sender = threading.Thread(target=send)
        sender.start()
        held = still(lambda: taken)
        check(held < SIZE // 2, "the client is held back", held)
        check(not watch.seen(), "no file in nginx's temporary paths", watch.seen())
        check(max(memory(pid, "VmHWM") - before[pid] for pid in before) < 8 << 20, "nginx did not grow")
        thaw("s3")
        sender.join(60)
    answer = upload.answer()
    check(answer.status == 201 and answer.json["size"] == SIZE, "and goes on: 201", answer)


def test_budget():
    """many uploads of unknown length while S3 stands still: media_memory is the limit"""
    user = User()
    budget = configured("media_memory")
    count = 2 * len(workers()) * budget // (2 * configured("media_s3_part_size"))
    uploads = [SlowUpload(user, 0, headers={"Transfer-Encoding": "chunked"}) for _ in range(count)]
    forget_peaks()
    taken = [0] * count
    freeze("s3")

    def send(n):
        try:
            for _ in range(2 * budget // (1 << 20)):
                uploads[n].send(media_like(1 << 20))
                taken[n] += 1 << 20
        except OSError:
            pass  # the end of it
    senders = [threading.Thread(target=send, args=(n,), daemon=True) for n in range(count)]
    for sender in senders:
        sender.start()
    total = still(lambda: sum(taken))
    peaks = [memory(pid, "VmHWM") for pid in workers()]
    note(f"{count} uploads, {total >> 20} MiB taken, peaks " + ", ".join(f"{p / (1 << 20):.0f} MiB" for p in peaks))
    check(max(peaks) > budget // 4, "(the budget was used)", peaks)
    check(max(peaks) < budget * 1.1 + (48 << 20), f"no nginx process holds more than its {budget >> 20} MiB", peaks)
    kill("nginx")
    thaw("s3")
    for upload in uploads:
        upload.close()
    for sender in senders:
        sender.join(30)
    up("nginx")
    wait_ready()

    sql("UPDATE media.uploads SET heartbeat_at = now() - interval '1h'")
    nothing_left()


main(test_bodies, test_s3_stands_still, test_budget)
