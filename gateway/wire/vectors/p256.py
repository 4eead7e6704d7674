"""ECDSA over P-256 with SHA-256 (FIPS 186-5) in as few lines as it takes to check vectors.

Nonces are those of RFC 6979, so that a signature can be published and made again. Slow and not
constant-time: never sign anything of value with it.
"""

from hashlib import sha256
from hmac import digest as hmac

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def add(a, b):
    """The sum of two points in affine coordinates; None is the point at infinity."""
    if a is None or b is None:
        return a or b
    (ax, ay), (bx, by) = a, b
    if ax == bx and (ay + by) % P == 0:
        return None
    if a == b:
        slope = 3 * (ax * ax - 1) * pow(2 * ay, -1, P)
    else:
        slope = (by - ay) * pow(bx - ax, -1, P)
    x = (slope * slope - ax - bx) % P
    return x, (slope * (ax - x) - ay) % P


def multiply(scalar, point):
    total = None
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def compress(point):
    """The compressed point (SEC 1, 2.3.3)."""
    x, y = point
    return bytes([2 | y & 1]) + x.to_bytes(32, "big")


def decompress(data):
    x = int.from_bytes(data[1:], "big")
    square = (x**3 - 3 * x + B) % P
    y = pow(square, (P + 1) // 4, P)
    if len(data) != 33 or data[0] not in (2, 3) or x >= P or y * y % P != square:
        raise ValueError("not a compressed point of the curve")
    return x, y if y & 1 == data[0] & 1 else P - y


def public_key(secret):
    return compress(multiply(int.from_bytes(secret, "big"), BASE))


def nonces(secret, digest):
    """Candidates in the order of RFC 6979, 3.2: nobody has ever needed the second."""
    number = int.from_bytes(digest, "big") % ORDER
    seed = secret + number.to_bytes(32, "big")
    key, value = bytes(32), b"\1" * 32
    for separator in (b"\0", b"\1"):
        key = hmac(key, value + separator + seed, sha256)
        value = hmac(key, value, sha256)
    while True:
        value = hmac(key, value, sha256)
        if 0 < int.from_bytes(value, "big") < ORDER:
            yield int.from_bytes(value, "big")
        key = hmac(key, value + b"\0", sha256)
        value = hmac(key, value, sha256)


def sign(secret, message):
    """The signature as `r ‖ s` (IEEE P1363)."""
    digest = sha256(message).digest()
    number, scalar = int.from_bytes(digest, "big"), int.from_bytes(secret, "big")
    for nonce in nonces(secret, digest):
        r = multiply(nonce, BASE)[0] % ORDER
        s = pow(nonce, -1, ORDER) * (number + r * scalar) % ORDER
        if r and s:
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(key, message, signature):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not (0 < r < ORDER and 0 < s < ORDER):
        return False
    try:
        point = decompress(key)
    except ValueError:
        return False
    number, inverse = int.from_bytes(sha256(message).digest(), "big"), pow(s, -1, ORDER)
    sum_of_both = add(
        multiply(number * inverse % ORDER, BASE), multiply(r * inverse % ORDER, point)
    )
    return sum_of_both is not None and sum_of_both[0] % ORDER == r
