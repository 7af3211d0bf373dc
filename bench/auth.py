#!/usr/bin/python3
"""What the check of a token costs: a static file of 1 KB, 64 keep-alive connections, one worker process, with and
without `media_auth on`, for each algorithm, with and without the cache of verified tokens."""

import os
import pathlib
import socket
import subprocess

import bench
import lib as e2e
import servers
import tokens
import wrk

CONNECTIONS = 64
MANY = 1000
ROUNDS = {"HS256": 3}  # times as many as of the others: what is most used
OPEN, COLD, WARM_1, WARM_MANY = "open", "no cache", "cache, 1 token", f"cache, {MANY} tokens"

CONF = f"""{servers.USER}
load_module {os.environ["MEDIA_MODULE"]};
daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
{servers.TEMP_PATHS}
    sendfile on;
    keepalive_requests 1000000000;
@KEYS@
    media_auth_cache @CACHE@;
    server {{
        listen 127.0.0.1:@PORT@;
        root @DIR@/www;
        location /open/ {{ }}
        location /guarded/ {{ media_auth on; }}
    }}
}}
"""


def server(cache, keys):
    made = servers.Nginx(f"auth-{cache}", CONF.replace("@CACHE@", cache).replace("@KEYS@", keys))
    for name in ("open", "guarded"):
        path = pathlib.Path(made.dir, "www", name)
        path.mkdir(parents=True)
        (path / "1k").write_bytes(os.urandom(1024))
    refused = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", made.url + "/guarded/1k"],
                             capture_output=True, text=True).stdout
    if refused != "401":
        raise RuntimeError(f"without a token: {refused}")
    return made


def once_each(where, heads):
    """Every request once, so that its token is known; the slowest signatures take half a second for all."""
    with socket.create_connection(("127.0.0.1", where.port), 30) as s, s.makefile("rb") as answers:
        s.sendall("".join(heads[:-1]).encode() + heads[-1].replace("\r\n", "\r\nConnection: close\r\n", 1).encode())
        good = answers.read().count(b"HTTP/1.1 200")
    if good != len(heads):
        raise RuntimeError(f"{len(heads)} tokens, {good} of them good")


def ways(alg, issued, cold, warm):
    """All of them are sent the same tokens."""
    def way(where, path, count):
        heads = [wrk.head("GET", path, "localhost", {"Authorization": "Bearer " + token}) for token in issued[:count]]

        def run():
            if count > 1:
                once_each(where, heads)
            return wrk.run(where.url, heads, CONNECTIONS, 1, workers=where.workers)
        return run
    return {(alg, OPEN): way(cold, "/open/1k", 1), (alg, COLD): way(cold, "/guarded/1k", 1),
            (alg, WARM_1): way(warm, "/guarded/1k", 1), (alg, WARM_MANY): way(warm, "/guarded/1k", MANY)}


def report(series, lengths):
    def to_open(alg, name):
        return bench.ratios(series[alg, name]["rate"], series[alg, OPEN]["rate"])

    def extra(alg, name):
        return bench.rounds(lambda a, b: a - b, series[alg, name]["cpu"], series[alg, OPEN]["cpu"])

    checked = (COLD, WARM_1, WARM_MANY)
    bench.table(["algorithm", "bytes of a token", "open, requests/s", *(f"{name}, of those" for name in checked),
                 *(f"{name}, CPU µs more" for name in checked)],
                [[alg, length, bench.spread(series[alg, OPEN]["rate"]),
                  *(bench.spread(to_open(alg, name)) for name in checked),
                  *(bench.spread(extra(alg, name)) for name in checked)] for alg, length in lengths.items()])
    bench.at_least("HS256 without the cache: requests/s to those of the open location", to_open("HS256", COLD), 0.9)
    # a known token is found by its bytes, whatever made its signature: all rounds of all algorithms
    for name in (WARM_1, WARM_MANY):
        bench.at_least(f"{name}: the same of all algorithms", [r for alg in lengths for r in to_open(alg, name)], 0.9)
    print()


def main():
    like = e2e.User("bench").token
    keys, issued = "", {}
    for alg in tokens.ALGORITHMS:
        bench.progress(f"{MANY} tokens of {alg}")
        issuer = tokens.Issuer(alg, like)
        path = bench.DATA / f"key-{alg}"
        issuer.write_key(path)
        keys += f"    media_auth_key {alg} {path};\n"
        issued[alg] = [issuer.token() for _ in range(MANY)]
    with server("off", keys) as cold, server("4m", keys) as warm:
        series = {}
        for alg, made in issued.items():
            series.update(bench.in_turn(ways(alg, made, cold, warm), bench.RUNS * ROUNDS.get(alg, 1)))
    report(series, {alg: len(made[0]) for alg, made in issued.items()})


if __name__ == "__main__":
    main()
