#!/usr/bin/python3
"""What an upload in flight takes of memory: 2 000 clients at 1 KB/s."""

import contextlib

import bench
import lib as e2e
import s3sign
import servers
import slow

CLIENTS = bench.sized(2000, 100)
SIZE = 64 << 10
TRICKLED = 8 << 10  # bytes that each has sent when we look: the type is known, S3 has its request
ROUNDS = min(bench.RUNS, 3)
# all of them may come to one worker, with two sockets each
CONNECTIONS = 2 * CLIENTS + 1024
RAW, FORM, STOCK = "module, raw", "module, form-data", "stock proxy_pass"


def measure(server, heads, body, in_flight):
    """The memory of nginx with all clients in flight, over what it was before them; then all must end well."""
    before = bench.pss(server.pids)
    usage = bench.Usage(server.workers)
    with contextlib.closing(slow.Clients(server.port, heads, body)) as clients:
        clients.trickle(TRICKLED)
        in_flight()
        held = bench.pss(server.pids)
        answers = clients.end()
    bad = [answer for answer in answers if answer not in (200, 201)]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(answers)} uploads failed: {sorted(set(bad))}")
    return {"idle": before, "pss": held, "each": 1024 * (held - before) / CLIENTS, "cpu": 1e3 * usage.cpu / CLIENTS}


def module(user, method, path, body, headers):
    """A server of its own for each round: what the C library keeps of the last one is not in it."""
    def in_flight():
        # a token, an intent row, and what else belongs to an upload
        count = e2e.value("SELECT count(*) FROM media.uploads")
        if count != CLIENTS:
            raise RuntimeError(f"{count} uploads are in flight, not {CLIENTS}")

    user.login()
    head = slow.head(method, path, {"Authorization": "Bearer " + user.token, "Content-Length": len(body), **headers})
    with servers.gateway(worker_connections=CONNECTIONS) as server:
        return measure(server, [head] * CLIENTS, body, in_flight)


def stock(body):
    signer = s3sign.Signer()
    heads = [slow.head("PUT", signer.presigned("PUT", f"bench/{n}"), {"Content-Length": len(body)})
             for n in range(CLIENTS)]
    with servers.stock(connections=CONNECTIONS, proxy_request_buffering="off") as server:
        return measure(server, heads, body, lambda: None)


def main():
    user = e2e.User("bench")
    body = e2e.media_like(SIZE)
    form = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="slow.mp4"\r\n'
            b"Content-Type: video/mp4\r\n\r\n" + body + b"\r\n--b--\r\n")
    series = bench.in_turn({
        RAW: lambda: module(user, "PUT", "/upload/slow.mp4", body, {}),
        FORM: lambda: module(user, "POST", "/upload", form, {"Content-Type": "multipart/form-data; boundary=b"}),
        STOCK: lambda: stock(body),
    }, ROUNDS, warmup=0)
    bench.table(["way", "Pss of nginx idle, MiB", f"with {CLIENTS} uploads, MiB", "KiB per upload",
                 "CPU ms per upload"],
                [[name, *(bench.spread(figures[key]) for key in ("idle", "pss", "each", "cpu"))]
                 for name, figures in series.items()])
    bench.at_most("module, raw: MiB of Pss in sum", series[RAW]["pss"], 640)
    print(f"\n{ROUNDS} rounds: memory does not depend on what else the machine does.\n")


if __name__ == "__main__":
    main()
