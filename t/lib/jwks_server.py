#!/usr/bin/python3
"""An issuer that answers /jwks with what a test wants, for t/lib/MediaJwks.pm. One JSON line on stdin sets how:
{"mode": ..., "body": ..., "headers": {...}}; one on stdout says it is set, the first one the port. Every request is
a line in the file given as argument; further arguments: certificate and key, for TLS."""
import json
import socketserver
import ssl
import struct
import socket
import sys
import threading
import time

HOW = {"mode": "ok", "body": '{"keys":[]}', "headers": {}}
LOG = sys.argv[1]
STALL = 30


class Handler(socketserver.StreamRequestHandler):
    def send(self, data):
        self.wfile.write(data.encode() if isinstance(data, str) else data)
        self.wfile.flush()

    def reset(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()

    def answer(self, how, status="200 OK"):
        headers = {"Content-Type": "application/json", "Content-Length": len(how["body"].encode()), **how["headers"]}
        lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
        self.send("\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]) + how["body"])

    def misbehave(self, how):
        mode = how["mode"]
        if mode == "stall":
            time.sleep(STALL)
        elif mode == "drip":
            self.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(STALL * 2):
                self.send(" ")
                time.sleep(0.5)
        elif mode == "half":
            self.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + how["body"])
        elif mode == "half-head":
            self.send("HTTP/1.1 200 OK\r\nContent-Ty")
        elif mode == "reset":
            self.reset()
        elif mode == "garbage":
            self.send(b"\x16\x03\x01\x00\xff" * 50 + b"\r\n\r\n")
        elif mode == "huge":
            self.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            for _ in range(2000):
                self.send(" " * 65536)
        elif mode == "huge-head":
            self.send("HTTP/1.1 200 OK\r\n")
            for n in range(100000):
                self.send(f"X-{n}: {'x' * 1000}\r\n")
        else:
            self.answer(how, mode)

    def handle(self):
        line = self.rfile.readline().decode("latin-1").strip()
        while self.rfile.readline().strip():
            pass
        with open(LOG, "a") as log:
            log.write(line + "\n")
        how = dict(HOW)
        try:
            if how["mode"] == "ok":
                self.answer(how)
            else:
                self.misbehave(how)
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    context = None

    def finish_request(self, request, client_address):
        if self.context:
            request.settimeout(5)
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # a handshake that fails is what some tests want


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    Server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Server.context.load_cert_chain(sys.argv[2], sys.argv[3])
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
for command in sys.stdin:
    HOW = {**HOW, **json.loads(command)}
    print("set", flush=True)
