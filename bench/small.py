#!/usr/bin/python3
"""Files of 100 KB, each under a new key, over 32 connections: through the module, and straight to S3."""

import itertools

import bench
import lib as e2e
import s3sign
import servers
import wrk

SIZE = 100_000
CONNECTIONS = 32
SECONDS = bench.sized(5, 1)
MOST = 4000  # requests per second: more than S3 takes here
PARTS = ("nginx", "s3", "postgres", "rabbitmq")  # of the system, whose CPU is told apart


class Load:
    def __init__(self):
        self.user = e2e.User("bench")
        self.body = e2e.clip().read_bytes()[:SIZE]
        self.turn = itertools.count()
        self.server = None

    def run(self, server, head):
        """`head`: a function of a number that is new each time."""
        turn = next(self.turn)
        heads = [head(f"{turn}-{n}") for n in range(MOST * SECONDS)]
        others = {name: bench.Usage(e2e.pids(name)) for name in PARTS[1:]}
        figures = wrk.run(server.url if server else servers.S3, heads, CONNECTIONS, SECONDS,
                          workers=server.workers if server else (), body=self.body, once=True)
        requests = figures["rate"] * SECONDS
        return {**figures, **{name: 1e6 * usage.cpu / requests for name, usage in others.items()}}

    def module(self, server):
        self.user.login()
        headers = {"Authorization": "Bearer " + self.user.token, "Content-Length": str(SIZE)}
        before = e2e.value("SELECT count(*) FROM media.media")
        figures = self.run(server, lambda n: wrk.head("PUT", f"/upload/{n}.mp4", "localhost", headers))
        made = e2e.value("SELECT count(*) FROM media.media") - before
        if made < figures["rate"] * SECONDS * 0.99:
            raise RuntimeError(f"{made} media of {figures['rate'] * SECONDS:.0f} answers")
        return figures

    def direct(self):
        signer = s3sign.Signer()
        return self.run(None, lambda n: wrk.head("PUT", signer.presigned("PUT", f"bench/{n}"), servers.S3_HOST,
                                                 {"Content-Length": str(SIZE)}))

    def stock(self, server):
        signer = s3sign.Signer()
        return self.run(server, lambda n: wrk.head("PUT", signer.presigned("PUT", f"bench/{n}"), "localhost",
                                                   {"Content-Length": str(SIZE)}))


def main():
    load = Load()
    with servers.gateway() as module, servers.stock(proxy_request_buffering="off") as stock:
        series = bench.in_turn({
            "module": lambda: load.module(module),
            "straight to S3": load.direct,
            "stock proxy_pass": lambda: load.stock(stock),
        })
    bench.table(["way", "requests/s", "99 % within ms", *(f"CPU µs of {name}" for name in PARTS)],
                [[name, *(bench.spread(figures[key]) if key in figures else ""
                          for key in ("rate", "p99", "cpu", *PARTS[1:]))] for name, figures in series.items()])
    rates = {name: figures["rate"] for name, figures in series.items()}
    bench.at_least("requests/s to those straight to S3", bench.ratios(rates["module"], rates["straight to S3"]), 0.7)
    print(f"\nOf those of stock proxy_pass: {bench.spread(bench.ratios(rates['module'], rates['stock proxy_pass']))}. "
          f"CPU is per request.\n")


if __name__ == "__main__":
    main()
