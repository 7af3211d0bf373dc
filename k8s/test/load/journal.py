"""The log of a load: one JSON line for each attempt and each operation. `check.py` trusts it and nothing else that
the load says.

start      run, seed, mix ... : first line of a run
attempt    op, attempt, method, path, gateway, user, wall, mono (both when it began), ms, status | error, code,
           request_id, key, sent, sent_sha256, got, got_sha256, media, replayed, again: it is made once more
operation  op, kind, user, wall, mono, ms, attempts, outcome ok | failed, cause, and facts of its kind:
           upload: key, media, sha256, size, pipeline, quality good | broken, refused: code of a refusal
           download: media, output, sha256, size
end        last line of a run that was not cut off

wall: seconds since 1970. mono: seconds of CLOCK_MONOTONIC, which all processes of a machine share.
"""

import json
import threading


class Journal:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")
        self.lock = threading.Lock()

    def line(self, type_, /, **facts):
        text = json.dumps({"type": type_, **{k: v for k, v in facts.items() if v is not None}})
        with self.lock:
            self.file.write(text + "\n")
            self.file.flush()

    def close(self):
        self.file.close()
