"""Files to upload. Good ones are made once by ffmpeg; each copy that is sent has bytes of its own in a place where no
decoder looks, so that every upload has another digest unless it shall not. Broken ones are made of good ones."""

import os
import subprocess

SOURCE = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "15"]
MADE = {
    "clip.mp4": [*SOURCE, "-t", "2", *H264, "-c:a", "aac"],
    "film.mp4": [*SOURCE, "-t", "4", *H264, "-c:a", "aac", "-movflags", "+faststart"],
    "photo.jpg": [*SOURCE[:4], "-frames:v", "1", "-pix_fmt", "yuvj420p", "-q:v", "4"],
}
BROKEN = ("empty", "magic", "truncated", "noise")


class Samples:
    def __init__(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.files = {}
        for name, words in MADE.items():
            path = directory / name
            if not path.exists():
                part = directory / f"part-{os.getpid()}-{name}"
                subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *words, str(part)], check=True)
                part.rename(path)
            self.files[name] = path.read_bytes()

    def good(self, name, random, padding):
        """A copy of a file, about `padding` bytes longer."""
        data = self.files[name]
        noise = random.randbytes(padding + 16)
        if name.endswith(".jpg"):
            comment = noise[:65000]
            return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
        return data + (len(noise) + 8).to_bytes(4, "big") + b"free" + noise

    def broken(self, how, random):
        data = self.files["clip.mp4"]
        noise = random.randbytes(3000)
        return {"empty": b"", "magic": b"This is no film, whatever its name says. " + noise,
                "truncated": data[:len(data) // 2] + noise, "noise": data[:32] + noise}[how]
