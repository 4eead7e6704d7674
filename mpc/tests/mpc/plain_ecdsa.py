"""Verifies an ECDSA signature over secp256k1 with nothing but Python's integers.

Arguments, all in hexadecimal digits: compressed public key, digest, r, s (SEC 1, 4.1.4).
"""

import sys

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def decompress(encoded):
    if len(encoded) != 33 or encoded[0] not in (2, 3):
        return None
    x = int.from_bytes(encoded[1:], "big")
    square = (x**3 + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if x >= P or y * y % P != square:
        return None
    return x, y if y % 2 == encoded[0] % 2 else P - y


def add(a, b):
    """The sum of two points; None is the point at infinity."""
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = 3 * a[0] * a[0] * pow(2 * a[1], P - 2, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], P - 2, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(scalar, point):
    product = None
    while scalar:
        if scalar & 1:
            product = add(product, point)
        point = add(point, point)
        scalar >>= 1
    return product


def is_valid(key, digest, r, s):
    key = decompress(key)
    if key is None or not (0 < r < N and 0 < s < N):
        return False
    inverse = pow(s, N - 2, N)
    point = add(multiply(digest * inverse % N, G), multiply(r * inverse % N, key))
    return point is not None and point[0] % N == r


_, KEY, DIGEST, R, S = sys.argv
print("valid" if is_valid(bytes.fromhex(KEY), int(DIGEST, 16), int(R, 16), int(S, 16)) else "invalid")
