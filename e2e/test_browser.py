#!/usr/bin/python3
"""A ladder plays in Chromium: HLS by hls.js, DASH by dash.js, from a page of another origin, by a playback token.

MEDIA_BROWSER_CLIPS: more files to play, with colons between them."""

import functools
import http.server
import json
import os
import pathlib
import subprocess
import threading
import urllib.parse

import chromium
from lib import RUN, URL, User, check, looped, main, note, pipeline_query, skip, wait

HERE = pathlib.Path(__file__).resolve().parent
SHOTS = RUN / "tmp"


class Pages(http.server.BaseHTTPRequestHandler):
    """The page and its players: an origin of its own."""

    files = {}

    def do_GET(self):
        data = self.files.get(self.path.partition("?")[0])
        self.send_response(200 if data else 404)
        self.send_header("Content-Type", "text/html" if self.path.startswith("/player.html") else "text/javascript")
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_):
        pass


@functools.cache
def page():
    Pages.files = {"/" + name: data for name, data in chromium.players().items()}
    Pages.files["/player.html"] = (HERE / "player.html").read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/player.html"


@functools.cache
def films():
    """[(name, media, playback link)] of every clip."""
    user = User()
    clips = [looped(20)] + [pathlib.Path(p) for p in os.environ.get("MEDIA_BROWSER_CLIPS", "").split(":") if p]
    query = pipeline_query("video", preset="superfast")
    begun = [(clip.stem, user.upload(clip, query=query)) for clip in clips]
    found = []
    for name, media_id in begun:
        media = user.settled(media_id, 400)
        assert media["state"] == "ready", media
        href = user.request("POST", f"/media/{media_id}/token", "{}", {"Content-Type": "application/json"}).json["href"]
        found.append((name, media, f"{URL.scheme}://{URL.netloc}{href}"))
    return found


class Player:
    def __init__(self, browser, kind, url):
        self.browser = browser
        browser.open(f"{page()}?" + urllib.parse.urlencode({"kind": kind, "url": url}))
        wait("the page", lambda: browser.js("document.readyState") == "complete")

    def state(self):
        state = self.browser.js("state()")
        assert not state["fatal"], state
        return state

    def until(self, what, condition, seconds=60):
        """The first state that fulfils the condition; fails at once on a fatal error of the player."""
        def probe():
            state = self.state()
            return state if condition(state) else None
        try:
            return wait(what, probe, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.state()}") from None


def play(browser, kind, name, media, link):
    player = Player(browser, kind, link + {"hls": "hls/master.m3u8", "dash": "dash/manifest.mpd"}[kind])
    title = f"{name}, {kind}"
    player.until("metadata", lambda s: s["ready"] >= 1)
    wait("rungs", lambda: browser.js("kind.heights().length"))
    heights = browser.js("kind.heights()")
    browser.js("video.play()")
    state = player.until("it plays", lambda s: s["time"] > 1 and s["pictures"] > 10)
    check(True, f"{title}: plays")
    check(abs(state["duration"] - media["probe"]["duration"]) < 0.3, f"{title}: its duration",
          (state["duration"], media["probe"]["duration"]))
    check(state["sound"] > 0, f"{title}: sound is decoded", state)
    offset(player, title)
    browser.screenshot(SHOTS / f"browser-{name}-{kind}-begin.png")
    check(browser.js("spread()") > 10, f"{title}: there is a picture")

    # another rung, both ways
    for i in (heights.index(max(heights)), heights.index(min(heights))):
        browser.js(f"kind.choose({i})")
        state = player.until(f"rung of {heights[i]}", lambda s: s["height"] == heights[i])
        went = state["time"]
        player.until("it goes on", lambda s: s["time"] > went + 0.5 or s["ended"])
        check(True, f"{title}: switched to {heights[i]}")
        browser.screenshot(SHOTS / f"browser-{name}-{kind}-{heights[i]}.png")

    target = state["duration"] - 2.5
    browser.js(f"video.currentTime = {target}")
    state = player.until("it plays on near the end", lambda s: not s["seeking"] and s["time"] > target + 0.5)
    browser.screenshot(SHOTS / f"browser-{name}-{kind}-end.png")
    check(browser.js("spread()") > 10, f"{title}: a picture near the end")
    state = player.until("the end", lambda s: s["ended"])
    check(state["time"] > state["duration"] - 0.2, f"{title}: seeks and ends", state)
    check(all(abs(s) < 0.001 for s in state["moved"]) and abs(state["video"][-1][1] - state["duration"]) < 0.05,
          f"{title}: on the times of its segments", state)
    check(state["lost"] < state["pictures"] / 2, f"{title}: pictures were shown", state)

    failed = [f for f in browser.of("Network.loadingFailed") if not f.get("canceled")]
    check(not failed, f"{title}: nothing failed to load", failed)
    asked = [r["response"] for r in browser.of("Network.responseReceived") if r["response"]["url"].startswith(link)]
    check(asked and all(r["status"] in (200, 206) for r in asked), f"{title}: by one token",
          [(r["status"], r["url"].replace(link, "")) for r in asked])


def offset(player, title):
    """A/V: where the buffers of sound and pictures begin, and the first picture that was shown"""
    state = player.state()
    video, audio = state["video"][0][0], state["audio"][0][0]
    note(f"{title}: in the buffers pictures begin at {video * 1000:.1f} ms, sound at {audio * 1000:.1f} ms;"
         f" the first picture shown is that of {state['firstPicture'] * 1000:.1f} ms")
    check(abs(video - audio) <= 0.02 and abs(state["firstPicture"] - video) <= 0.02,
          f"{title}: sound and pictures begin together", state)


def begins(url):
    """When libav shows the first of each track, by its kind: {"video": [seconds, ...], "audio": ...}. Before 0 it
    has the encoder's priming, which is no sound of the source."""
    done = subprocess.run(["ffprobe", "-v", "error", "-of", "json", "-read_intervals", "%+1", "-show_entries",
                           "frame=media_type,stream_index,best_effort_timestamp_time", url],
                          capture_output=True, check=True)
    first = {}
    for frame in json.loads(done.stdout)["frames"]:
        key = (frame["media_type"], frame["stream_index"])
        at = float(frame["best_effort_timestamp_time"])
        if at > -0.001 or frame["media_type"] == "video":
            first[key] = min(first.get(key, 1e9), at)
    return {kind: [at for (k, _), at in first.items() if k == kind] for kind in ("video", "audio")}


def test_libav():
    """in libav sound and pictures begin together, too"""
    for name, _, link in films():
        for path in ("hls/master.m3u8", "dash/manifest.mpd"):
            at = begins(link + path)
            note(f"{name}, {path}: {at}")
            check(at["video"] and at["audio"] and max(at["video"] + at["audio"]) - min(at["video"] + at["audio"]) <= 0.02,
                  f"{name}, {path}: they begin together", at)


def run(kind):
    why = chromium.missing()
    if why:
        skip(f"{kind} in Chromium", why)
        return
    for film in films():
        browser = chromium.Chromium()
        try:
            play(browser, kind, *film)
        finally:
            browser.close()


def test_hls():
    """hls.js plays, switches rungs, seeks, ends"""
    run("hls")


def test_dash():
    """dash.js does, too"""
    run("dash")


main(test_libav, test_hls, test_dash)
