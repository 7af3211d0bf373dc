#!/usr/bin/python3
"""1 GiB whose length is not known beforehand, through the module, against `aws s3 cp` straight to S3: both are multipart
uploads there, with parts of one size."""

import os
import resource
import subprocess
import time

import bench
import servers
import transfers

PART_MIB = 8  # the default of `aws s3 cp`, and what we ship
FORM, CHUNKED, AWS, AWS_START = "module, form-data", "module, chunked", "aws s3 cp to S3", "aws s3 cp of 1 byte"


class Forms(transfers.Transfers):
    def __init__(self):
        super().__init__()
        if servers.shipped("media_s3_part_size") != f"{PART_MIB}m":
            raise RuntimeError("the parts are not of one size any more")
        self.byte = bench.DATA / "byte"
        self.byte.write_bytes(b"x")
        config = bench.DATA / "aws-config"
        config.write_text(f"[default]\ns3 =\n  addressing_style = path\n  multipart_chunksize = {PART_MIB}MB\n")
        # the keys are in the environment already; nothing of the caller's own ~/.aws
        self.env = {**os.environ, "AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                    "AWS_EC2_METADATA_DISABLED": "true"}

    def send(self, server, transfer):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = super().send(server, transfer)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {**figures, "client_cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}

    def form(self, server):
        return self.module(server, "upload", "-F", "title=big", "-F", f"file=@{self.file};type=video/mp4")

    def chunked(self, server):
        return self.module(server, "upload/big.mp4", "-T", str(self.file), "-H", "Transfer-Encoding: chunked")

    def aws(self, path):
        def transfer():
            began = time.monotonic()
            subprocess.run(["/usr/bin/aws", "--endpoint-url", servers.S3, "s3", "cp", "--only-show-errors", path,
                            f"s3://{servers.BUCKET}/{transfers.OBJECT}"], check=True, env=self.env)
            return time.monotonic() - began

        figures = self.send(None, transfer)
        if path == self.file:
            self.remove(transfers.OBJECT)
        return figures


def report(series, server):
    def cells(name):
        figures = series[name]
        return [name, bench.spread(figures["wall"]), bench.spread(figures["cpu"]) if "cpu" in figures else "",
                bench.spread(figures["s3_cpu"]), bench.spread(figures["client_cpu"]),
                max(figures["written"]) if "written" in figures else ""]

    bench.table(["way", "wall s", "CPU s of nginx's workers", "CPU s of MinIO", "CPU s of the client",
                 "bytes written by nginx, most in a run"],
                [cells(name) for name in (FORM, CHUNKED, AWS, AWS_START)])
    print(f"Peak RSS of a worker: {bench.number(bench.peak_rss(server.workers))} MiB.\n")
    aws = series[AWS]["wall"]
    without_start = bench.rounds(lambda whole, start: whole - start, aws, series[AWS_START]["wall"])
    for name in (FORM, CHUNKED):
        bench.at_most(f"{name}: wall clock to that of `aws s3 cp`", bench.ratios(series[name]["wall"], aws), 1.1)
        bench.at_most(f"{name}: the same, without what `aws` takes for one byte",
                      bench.ratios(series[name]["wall"], without_start), 1.1)
    print()


def main():
    forms = Forms()
    with servers.gateway() as server:
        series = bench.in_turn({
            FORM: lambda: forms.form(server),
            AWS: lambda: forms.aws(forms.file),
            CHUNKED: lambda: forms.chunked(server),
            AWS_START: lambda: forms.aws(forms.byte),
        })
        report(series, server)


if __name__ == "__main__":
    main()
