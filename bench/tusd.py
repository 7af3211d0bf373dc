#!/usr/bin/python3
"""1 GiB through the module against tusd with the same bucket: what a byte costs the server's CPU and disk."""

import http.client
import urllib.parse

import bench
import servers
import transfers

MODULE, TUSD, BARE = "module, sha256 trailer", "tusd", "tusd without hashes"


class Uploads(transfers.Transfers):
    def tusd(self, server):
        """The tus protocol: a creation, then all bytes in one PATCH."""
        where = self.create(server)
        figures = self.send(server, lambda: bench.curl(
            f'url = "{where}"\n', "-X", "PATCH", "-T", str(self.file), "-H", "Tus-Resumable: 1.0.0",
            "-H", "Upload-Offset: 0", "-H", "Content-Type: application/offset+octet-stream"))
        # the id is the object's name and that of its multipart upload
        key = "tusd/" + urllib.parse.unquote(where.rpartition("/")[2]).partition("+")[0]
        self.remove(key)
        self.s3.delete_object(Bucket=servers.BUCKET, Key=key + ".info")
        return figures

    @staticmethod
    def create(server):
        c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        try:
            c.request("POST", "/files/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(transfers.SIZE)})
            answer = c.getresponse()
            if answer.status != 201:
                raise RuntimeError(f"tusd: creation: {answer.status} {answer.read(300)!r}")
            return urllib.parse.urljoin(server.url, answer.headers["Location"])
        finally:
            c.close()


def main():
    uploads = Uploads()
    with servers.gateway() as module, servers.Tusd("tusd") as tusd, \
            servers.Tusd("tusd-bare", "-s3-disable-content-hashes") as bare:
        running = {MODULE: module, TUSD: tusd, BARE: bare}
        series = bench.in_turn({
            MODULE: lambda: uploads.module(module),
            TUSD: lambda: uploads.tusd(tusd),
            BARE: lambda: uploads.tusd(bare),
        })
        mib = transfers.SIZE >> 20
        bench.table(["way", "wall s", "CPU s of the server", "MiB per CPU second", "CPU s of MinIO",
                     "MiB written to disk", "peak RSS MiB"],
                    [[name, bench.spread(figures["wall"]), bench.spread(figures["cpu"]),
                      bench.spread([mib / cpu for cpu in figures["cpu"]]), bench.spread(figures["s3_cpu"]),
                      bench.spread([n / (1 << 20) for n in figures["written"]]),
                      bench.number(bench.peak_rss(running[name].workers))] for name, figures in series.items()])
    for name in (TUSD, BARE):
        bench.at_least(f"bytes per CPU second to those of {name}",
                       bench.ratios(series[name]["cpu"], series[MODULE]["cpu"]), 3)
    print()


if __name__ == "__main__":
    main()
