"""Seals what stands on stdin behind its first line, under the password in that line, as MinIO's admin API takes
secrets: salt, kind of key and cipher (2: PBKDF2, AES-256-GCM), nonce, then one sealed block of sio-go."""

import hashlib
import os
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROUNDS = 8192
LAST = b"\x80"

password, _, text = sys.stdin.buffer.read().partition(b"\n")
salt, nonce = os.urandom(32), os.urandom(8)
cipher = AESGCM(hashlib.pbkdf2_hmac("sha256", password, salt, ROUNDS, 32))
head = cipher.encrypt(nonce + (0).to_bytes(4, "little"), b"", b"")
sealed = cipher.encrypt(nonce + (1).to_bytes(4, "little"), text, LAST + head)
sys.stdout.buffer.write(salt + b"\x02" + nonce + sealed)
