#!/usr/bin/python3
"""What the JWT check costs: a static file of 1 KB, 64 keep-alive connections, one worker process, with and without
`media_auth on`."""

import os
import pathlib
import re
import statistics
import subprocess

import bench
import lib as e2e

CONNECTIONS = 64
SECONDS = 3

CONF = f"""{bench.USER}
load_module {os.environ["MEDIA_MODULE"]};
daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
{bench.TEMP_PATHS}
    sendfile on;
    keepalive_requests 1000000000;
    media_auth_key HS256 {bench.RUN}/secrets/jwt-key;
    server {{
        listen 127.0.0.1:@PORT@;
        root @DIR@/www;
        location /open/ {{ }}
        location /guarded/ {{ media_auth on; }}
    }}
}}
"""


def wrk(server, path, token):
    """Requests per second; every answer must be the file. Both locations are sent the same token."""
    script = bench.DATA / "wrk.lua"
    script.touch(mode=0o600)
    script.write_text(f'wrk.headers["Authorization"] = "Bearer {token}"\n')
    before = bench.cpu_seconds(server.workers)
    out = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script, server.url + path],
                         check=True, capture_output=True, text=True).stdout
    cpu = bench.cpu_seconds(server.workers) - before
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), "cpu": 1e6 * cpu / requests}


def main():
    user = e2e.User("bench")
    with bench.Nginx("jwt", CONF) as server:
        for name in ("open", "guarded"):
            path = pathlib.Path(server.dir, "www", name)
            path.mkdir(parents=True)
            (path / "1k").write_bytes(os.urandom(1024))
        refused = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", server.url + "/guarded/1k"],
                                 capture_output=True, text=True).stdout
        assert refused == "401", refused

        def way(path):
            def run():
                user.login()
                return wrk(server, path, user.token)
            return run

        series = bench.in_turn({"open": way("/open/1k"), "media_auth on": way("/guarded/1k")})
    bench.table(["location", "requests/s", "CPU µs of nginx per request"],
                [[name, bench.spread(figures["rate"]), bench.spread(figures["cpu"])]
                 for name, figures in series.items()])
    on, off = series["media_auth on"], series["open"]
    extra = statistics.median(a - b for a, b in zip(on["cpu"], off["cpu"]))
    print(f"With the check: {bench.spread(bench.ratios(on['rate'], off['rate']))} of the requests/s, "
          f"{bench.number(extra)} µs of CPU more per request (HS256).\n")


if __name__ == "__main__":
    main()
