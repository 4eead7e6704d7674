"""Verifies an ECDSA signature over secp256k1 with the package `cryptography`.

Arguments, all in hexadecimal digits: compressed public key, digest, r, s. Exits with 3 if the
package is not there.
"""

import sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256
except ImportError:
    sys.exit(3)

_, KEY, DIGEST, R, S = sys.argv
key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), bytes.fromhex(KEY))
signature = utils.encode_dss_signature(int(R, 16), int(S, 16))
try:
    key.verify(signature, bytes.fromhex(DIGEST), ec.ECDSA(utils.Prehashed(SHA256())))
    print("valid")
except InvalidSignature:
    print("invalid")
