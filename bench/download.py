#!/usr/bin/python3
"""One object through the module against stock nginx `proxy_pass` with a request that is signed the same way: 1 GiB, and
100 KB over many connections."""

import bench
import lib as e2e
import s3sign
import servers
import transfers
import wrk

SMALL = 100_000
CONNECTIONS = 32
SECONDS = bench.sized(3, 1)
PARTS = ("nginx", "s3", "postgres")
# what the shipped location of downloads has, apart from names and signatures
BUFFERS = ("proxy_max_temp_file_size", "proxy_buffer_size", "proxy_buffers", "proxy_busy_buffers_size")


class Downloads(transfers.Transfers):
    def __init__(self):
        super().__init__()
        self.ids = {size: self.user.upload(data, name="a.mp4") for size, data in
                    ((transfers.SIZE, self.file), (SMALL, e2e.clip().read_bytes()[:SMALL]))}
        self.keys = {size: e2e.value("SELECT object_key FROM media.media WHERE id = %s", media_id)
                     for size, media_id in self.ids.items()}

    def module(self, size):
        """Path and headers of a request to the gateway."""
        self.user.login()
        return f"/media/{self.ids[size]}/original", {"Authorization": "Bearer " + self.user.token}

    def stock(self, size):
        return f"/{servers.BUCKET}/{self.keys[size]}", s3sign.Signer().headers("GET", self.keys[size])

    def big(self, server, request):
        path, headers = request(transfers.SIZE)
        lines = "".join(f'header = "{key}: {value}"\n' for key, value in headers.items())
        return self.send(server, lambda: bench.curl(f'url = "{server.url}{path}"\n{lines}'))

    def small(self, server, request):
        path, headers = request(SMALL)
        others = {name: bench.Usage(e2e.pids(name)) for name in PARTS[1:]}
        figures = wrk.run(server.url, [wrk.head("GET", path, "localhost", headers)], CONNECTIONS, SECONDS,
                          workers=server.workers)
        requests = figures["rate"] * SECONDS
        return {**figures, **{name: 1e6 * usage.cpu / requests for name, usage in others.items()}}


def main():
    downloads = Downloads()
    with servers.gateway(media_cache="{ default off") as module, servers.gateway("module-cached") as cached, \
            servers.stock(**{name: servers.shipped(name) for name in BUFFERS}) as stock:
        ways = {"module": (module, downloads.module), "stock proxy_pass": (stock, downloads.stock),
                "module, out of its cache": (cached, downloads.module)}
        big = bench.in_turn({name: lambda way=way: downloads.big(*way) for name, way in ways.items()})
        small = bench.in_turn({name: lambda way=way: downloads.small(*way) for name, way in ways.items()})
    bench.table(["1 GiB", "wall s", "CPU s of nginx's workers", "CPU s of MinIO", "bytes written, most in a run"],
                [[name, *(bench.spread(figures[key]) for key in ("wall", "cpu", "s3_cpu")), max(figures["written"])]
                 for name, figures in big.items()])
    bench.table(["100 KB", "requests/s", "99 % within ms", *(f"CPU µs of {name}" for name in PARTS)],
                [[name, *(bench.spread(figures[key]) for key in ("rate", "p99", "cpu", *PARTS[1:]))]
                 for name, figures in small.items()])
    bench.at_least("1 GiB: bytes per second to stock's",
                   bench.ratios(big["stock proxy_pass"]["wall"], big["module"]["wall"]), 0.97)
    bench.at_least("100 KB: requests/s to stock's",
                   bench.ratios(small["module"]["rate"], small["stock proxy_pass"]["rate"]), 0.97)
    cpu = [bench.spread(bench.ratios(figures["module"]["cpu"], figures["stock proxy_pass"]["cpu"]))
           for figures in (big, small)]
    print("\nCPU of nginx to stock's: 1 GiB {}, 100 KB {}.\n".format(*cpu))


if __name__ == "__main__":
    main()
