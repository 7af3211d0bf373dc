"""Many slow clients in one process: each sends its body at 1 KB/s until all of them shall end."""

import asyncio
import resource

PIECE = 1024  # bytes per second
CONNECTING = 200  # at once, so that no accept queue overflows


def head(method, path, headers):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost",
                        *(f"{key}: {value}" for key, value in headers.items())]).encode() + b"\r\n\r\n"


class Clients:
    def __init__(self, port, heads, body):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * len(heads) + 1024)), hard))
        self.body = body
        self.sent = 0
        self.loop = asyncio.new_event_loop()
        self.streams = self.loop.run_until_complete(self._connect(port, heads))

    async def _connect(self, port, heads):
        gate = asyncio.Semaphore(CONNECTING)

        async def one(text):
            async with gate:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(text)
                await writer.drain()
                return reader, writer
        return await asyncio.gather(*map(one, heads))

    def trickle(self, size):
        """Until each has sent `size` bytes of its body."""
        self.loop.run_until_complete(self._trickle(size))

    async def _trickle(self, size):
        while self.sent < size:
            began = self.loop.time()
            piece = self.body[self.sent:self.sent + PIECE]
            for number, (_, writer) in enumerate(self.streams):
                writer.write(piece)
                # spread over the second
                if number % 50 == 49:
                    due = began + (number + 1) / len(self.streams)
                    await asyncio.sleep(max(0, due - self.loop.time()))
            self.sent += len(piece)

    def end(self):
        """The rest of every body at once; gives each one's status, 0 without any."""
        return self.loop.run_until_complete(self._end())

    async def _end(self):
        async def one(reader, writer):
            try:
                writer.write(self.body[self.sent:])
                await writer.drain()
                line = await asyncio.wait_for(reader.readline(), 120)
                return int(line.split()[1]) if line else 0
            except (OSError, asyncio.TimeoutError):
                return 0
        return await asyncio.gather(*(one(*stream) for stream in self.streams))

    def close(self):
        for _, writer in self.streams:
            writer.transport.abort()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
