#!/usr/bin/python3
"""The mp3 of a clip of 210 s, against MoviePy, with which such a service was first written: the object fetched from S3,
its sound written as mp3, that sent back."""

import os
import pathlib
import subprocess

import bench
import transcode

PYTHON = pathlib.Path(os.environ["MEDIA_CACHE"]) / "moviepy" / "bin" / "python"
PROGRAM = """
import sys
try:
    from moviepy import VideoFileClip
except ImportError:
    from moviepy.editor import VideoFileClip
with VideoFileClip(sys.argv[1]) as clip:
    clip.audio.write_audiofile(sys.argv[2], bitrate="192k", logger=None)
"""


def install():
    if not PYTHON.exists():
        subprocess.run(["python3", "-m", "venv", PYTHON.parents[1]], check=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", "moviepy"], check=True)
    return subprocess.run([PYTHON, "-c", "import moviepy; print(moviepy.__version__)"], check=True, capture_output=True,
                          text=True).stdout.strip()


def main():
    version = install()
    pairs = transcode.begin()

    def moviepy():
        source, target = pairs.urls("bench/moviepy.mp3")
        files = [bench.DATA / name for name in ("film.mp4", "film.mp3")]
        figures = {}
        with bench.commands(figures):
            subprocess.run(["curl", "-sS", "-f", "-o", files[0], source], check=True)
            subprocess.run([PYTHON, "-c", PROGRAM, *files], check=True)
            bench.curl(f'url = "{target}"\n', "-T", str(files[1]))
        return {**figures, "output": files[1].stat().st_size / 1e6}
    series = bench.in_turn({"job": pairs.ours, f"MoviePy {version}": moviepy})
    bench.table(["way", "wall s", "CPU s", "mp3 MB"],
                [[name] + [bench.spread(figures[key]) for key in ("wall", "cpu", "output")]
                 for name, figures in series.items()])
    ours, theirs = series.values()
    bench.at_least("MoviePy's wall clock to the job's", bench.ratios(theirs["wall"], ours["wall"]), 3)


if __name__ == "__main__":
    main()
