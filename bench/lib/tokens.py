"""Keys and access tokens of every algorithm, as a login would make them."""

import base64
import json
import secrets
import time
import uuid

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

TTL = 4 * 3600


def _secret():
    return secrets.token_hex(64)


def _rsa():
    return rsa.generate_private_key(65537, 2048)


# name: how its key is made
ALGORITHMS = {
    "HS256": _secret, "HS384": _secret, "HS512": _secret,
    "RS256": _rsa, "PS256": _rsa,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class Issuer:
    """One key. `like`: a token of the running system, whose header and claims these are like."""

    def __init__(self, alg, like):
        self.alg = alg
        self.key = ALGORITHMS[alg]()
        header, claims = (base64.urlsafe_b64decode(part + "==") for part in like.split(".")[:2])
        self.header = header.replace(b'"HS256"', f'"{alg}"'.encode())
        self.claims = json.loads(claims)
        # of a key that this one is not
        if b'"kid"' in header:
            raise RuntimeError("the system's key has a kid")

    def write_key(self, path):
        """What a verifier needs: the secret, or the public half."""
        path.touch(mode=0o600)
        if isinstance(self.key, str):
            path.write_text(self.key)
        else:
            path.write_bytes(self.key.public_key().public_bytes(serialization.Encoding.PEM,
                                                                serialization.PublicFormat.SubjectPublicKeyInfo))

    def token(self):
        """A new one: no two are equal."""
        now = int(time.time())
        claims = {**self.claims, "iat": now, "exp": now + TTL, "jti": str(uuid.uuid4())}
        if "nbf" in claims:
            claims["nbf"] = now
        signed = _encode(self.header) + b"." + _encode(json.dumps(claims, separators=(",", ":")).encode())
        algorithm = jwt.algorithms.get_default_algorithms()[self.alg]
        return (signed + b"." + _encode(algorithm.sign(signed, algorithm.prepare_key(self.key)))).decode()


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")
