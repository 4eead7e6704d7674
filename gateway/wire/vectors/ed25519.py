"""Ed25519 (RFC 8032, 5.1) in as few lines as it takes to check vectors.

Slow and not constant-time: never sign anything of value with it.
"""

from hashlib import sha512

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    """The complete addition law of the twisted Edwards curve, in affine coordinates."""
    (ax, ay), (bx, by) = a, b
    cross = D * ax * bx * ay * by % P
    x = (ax * by + bx * ay) * pow(1 + cross, -1, P) % P
    y = (ay * by + ax * bx) * pow(1 - cross, -1, P) % P
    return x, y


def multiply(scalar, point):
    total = (0, 1)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def compress(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if y >= P:
        raise ValueError("the point is not in its canonical form")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    return (P - x if x & 1 != sign else x), y


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def expand(seed):
    """The secret scalar and the prefix that a seed stands for."""
    digest = sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    scalar = scalar & ~7 & (2**254 - 1) | 2**254
    return scalar, digest[32:]


def challenge(*parts):
    return int.from_bytes(sha512(b"".join(parts)).digest(), "little") % ORDER


def public_key(seed):
    return compress(multiply(expand(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = expand(seed)
    key = compress(multiply(scalar, BASE))
    nonce = challenge(prefix, message)
    commitment = compress(multiply(nonce, BASE))
    answer = (nonce + challenge(commitment, key, message) * scalar) % ORDER
    return commitment + answer.to_bytes(32, "little")


def verify(key, message, signature):
    commitment, answer = signature[:32], int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or answer >= ORDER:
        return False
    try:
        expected = add(
            decompress(commitment),
            multiply(challenge(commitment, key, message), decompress(key)),
        )
    except ValueError:
        return False
    return multiply(answer, BASE) == expected
