"""wrk as the load: one thread, so that it has one of two processors at most."""

import re
import subprocess

import bench

FIGURES = re.compile(r"99% +(?P<p99>[\d.]+)(?P<unit>us|ms|s|m)\n.* (?P<requests>\d+) requests in .*"
                     r"Requests/sec: +(?P<rate>[\d.]+)", re.S)

# Each request is the next one of a list, all made beforehand; the head of each and the body they share stand in
# files. After the last head the first follows, unless heads are for one use.
SCRIPT = """
local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

local requests, body, n = {}, read("@BODY@"), 0
for head in read("@HEADS@"):gmatch("(.-\\r\\n\\r\\n)") do
    requests[#requests + 1] = @ONCE@ and head or head .. body
end

function request()
    n = n + 1
    if @ONCE@ then
        return assert(requests[n], "too few requests") .. body
    end
    return requests[(n - 1) % #requests + 1]
end
"""


def head(method, path, host, headers):
    """The head of a request as wrk shall send it."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}",
                        *(f"{key}: {value}" for key, value in headers.items())]) + "\r\n\r\n"


def run(url, heads, connections, seconds, workers=(), body=b"", once=False):
    """Requests per second, the time within which 99 % were answered, and the CPU of the server's processes per
    request. Every answer must be a success."""
    files = {name: bench.DATA / f"wrk.{name}" for name in ("lua", "heads", "body")}
    for path in files.values():
        path.touch(mode=0o600)  # tokens and signatures are in them
    files["heads"].write_text("".join(heads), newline="")
    files["body"].write_bytes(body)
    script = SCRIPT.replace("@HEADS@", str(files["heads"])).replace("@BODY@", str(files["body"]))
    files["lua"].write_text(script.replace("@ONCE@", "true" if once else "false"))
    usage = bench.Usage(workers)
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s",
                          files["lua"], url], capture_output=True, text=True)
    cpu = usage.cpu
    found = FIGURES.search(out.stdout)
    if out.returncode or not found or "Non-2xx" in out.stdout or "Socket errors" in out.stdout or out.stderr:
        raise RuntimeError(f"wrk: {out.stdout} {out.stderr}")
    figures = {"rate": float(found["rate"]),
               "p99": float(found["p99"]) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[found["unit"]]}
    return {**figures, "cpu": 1e6 * cpu / int(found["requests"])} if workers else figures
