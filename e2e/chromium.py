"""Debian's chromium, headless, driven by the DevTools protocol over a pair of pipes; and the players of npm."""

import base64
import fcntl
import hashlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import tarfile
import tempfile
import time

CACHE = pathlib.Path(os.environ.get("MEDIA_CACHE") or pathlib.Path.home() / ".cache" / "ngx_media") / "npm"
# package, version, sha512 (npm's "integrity"), file in it, name for the page
PLAYERS = (
    ("hls.js", "1.7.4", "3GlxGdPvT2YHvQYOt+yOzT/DEior/qJVNIylHA77kgeoBTdQQqi70GwefNEUmHQeNGyjC8U62+bruqW/Tpm+tg==",
     "package/dist/hls.min.js", "hls.js"),
    ("dashjs", "5.2.1", "axcJmLeJCTJMLUfQRErUJB1KOiU5iHF+DMLBc3FKeox1HPYtGUQlC6Xm5Mm6vhBUR3CHHLIPOqw0JDIqMtP+Dw==",
     "package/dist/modern/umd/dash.all.min.js", "dash.js"),
)


def missing():
    """Why there can be no browser here; None if there can."""
    if not shutil.which("chromium"):
        return "no chromium (apt-get install chromium)"
    try:
        players()
    except (OSError, subprocess.SubprocessError) as error:
        return f"no players from npm: {error}"
    return None


def players():
    """{name for the page: bytes}, fetched by npm when they are not in the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    found = {}
    for package, version, sha512, member, name in PLAYERS:
        file = CACHE / f"{package}-{version}.tgz"
        if not file.exists():
            subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], cwd=CACHE, check=True, timeout=120,
                           stdout=subprocess.DEVNULL)
        data = file.read_bytes()
        assert base64.b64encode(hashlib.sha512(data).digest()).decode() == sha512, f"{file} is not what it should be"
        with tarfile.open(file) as tar:
            found[name] = tar.extractfile(member).read()
    return found


class Chromium:
    """One page of one browser."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="chromium-")
        # it reads 3 and writes 4, which may be ours by chance
        (read, self.down), (self.up, write) = os.pipe(), os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (read, write)]
        os.close(read)
        os.close(write)
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{ends[0]}- 4>&{ends[1]}-; exec "$@"', "bash", "chromium",
             "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--mute-audio", "--autoplay-policy=no-user-gesture-required", "--window-size=960,640",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            pass_fds=ends, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        for fd in ends:
            os.close(fd)
        self.buffer, self.id, self.session, self.events = b"", 0, None, []
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self):
        os.close(self.down)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.up)
        self.profile.cleanup()

    def _receive(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.up], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser is silent")
            data = os.read(self.up, 1 << 20)
            if not data:
                raise EOFError("the browser has gone")
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def call(self, method, timeout=60, **params):
        """A command of the protocol; events that come meanwhile are kept."""
        self.id += 1
        message = {"id": self.id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.down, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self.id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)

    def js(self, expression):
        """The value of an expression in the page, awaited if it is a promise."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True,
                           userGesture=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return result["result"].get("value")

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def of(self, method):
        """The parameters of all events of a kind since the page was opened."""
        return [e["params"] for e in self.events if e.get("method") == method]
