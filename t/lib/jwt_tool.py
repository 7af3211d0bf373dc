#!/usr/bin/python3
"""Keys and tokens by an implementation that is not ours (PyJWT over python3-cryptography), for t/lib/MediaJwt.pm:
one JSON request per line on stdin, one answer per line on stdout."""
import json
import sys

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.utils import base64url_encode, to_base64url_uint

CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
KEYS = {}


def b64(data):
    return base64url_encode(data).decode()


def make(kind):
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    if kind in CURVES:
        return ec.generate_private_key(CURVES[kind]())
    return {"Ed25519": ed25519.Ed25519PrivateKey, "Ed448": ed448.Ed448PrivateKey}[kind].generate()


def pem(key, public):
    if public:
        return key.public_key().public_bytes(serialization.Encoding.PEM,
                                             serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def jwk(key):
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": to_base64url_uint(numbers.n).decode(), "e": to_base64url_uint(numbers.e).decode()}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers, size = public.public_numbers(), (key.curve.key_size + 7) // 8
        name = next(n for n, c in CURVES.items() if c.name == key.curve.name)
        return {"kty": "EC", "crv": name, "x": b64(numbers.x.to_bytes(size, "big")),
                "y": b64(numbers.y.to_bytes(size, "big"))}
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519" if len(raw) == 32 else "Ed448", "x": b64(raw)}


def raw(ask, key):
    """A token over any two texts. "alg" is how it is really signed; "DER": ECDSA as OpenSSL writes it."""
    message = f"{b64(ask['header'].encode())}.{b64(ask['payload'].encode())}"
    if ask["alg"] == "DER":
        signature = key.sign(message.encode(), ec.ECDSA(hashes.SHA256()))
    else:
        algorithm = jwt.algorithms.get_default_algorithms()[ask["alg"]]
        signature = algorithm.sign(message.encode(), ask["secret"].encode() if ask.get("secret") is not None else key)
    return f"{message}.{b64(signature)}"


def answer(ask):
    name = ask["key"]
    if ask["op"] == "sign" and ask.get("secret") is not None:
        return jwt.encode(ask["claims"], ask["secret"], ask["alg"], ask["header"])
    if name not in KEYS:
        KEYS[name] = make(ask["kind"])
    key = KEYS[name]
    if ask["op"] == "raw":
        return raw(ask, key)
    if ask["op"] == "sign":
        return jwt.encode(ask["claims"], key, ask["alg"], ask["header"])
    if ask["op"] == "verify":
        public = jwt.PyJWK(ask["jwk"]).key if ask.get("jwk") else key.public_key()
        return jwt.decode(ask["token"], public, [ask["alg"]], options={"verify_aud": False})
    return {"private": lambda: pem(key, False), "public": lambda: pem(key, True), "jwk": lambda: jwk(key)}[ask["op"]]()


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
