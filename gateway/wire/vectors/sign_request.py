#!/usr/bin/env python3
"""Signs a sign request as a requester, to be copied into a backend.

Prints the JSON body for `POST /api/v1/accounts/{id}/sign`. The parties that hold the account's
shares check the signature against the requester keys in their own configuration, so that nobody
between backend and parties can ask in the requester's name. Needs Python 3.9 and, for the
signature itself, either the `cryptography` package or the `openssl` command.

    openssl genpkey -algorithm ed25519 -out requester.pem        # or: -algorithm EC
                                                                 # -pkeyopt ec_paramgen_curve:P-256
    openssl pkey -in requester.pem -pubout                       # for the parties' configuration

    python3 sign_request.py --account 01890a5d-ac97-7000-8000-00000000acc0 \\
        --public-key 0279be66…1798 --message 6d657373616765 --hash keccak256 \\
        --requester billing --key requester.pem > body.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid

DOMAIN = b"mpc.v1/signing-request"
HASHES = {"sha256": 1, "keccak256": 2}
LIFE_IN_SECONDS = 120


def prefixed(raw):
    """Bytes of any length: their length as four big-endian bytes, then the bytes."""
    return len(raw).to_bytes(4, "big") + raw


def canonical_bytes(
    requester, request, expires_at, account, public_key, message, hash_name=None, raw=False
):
    """What is signed. Ids are `uuid.UUID`, `expires_at` is milliseconds since the Unix epoch."""
    if raw:
        payload = b"\x04" + prefixed(message)
    elif hash_name is None:
        if len(message) != 32:
            raise ValueError("a message without --hash is a digest of 32 bytes")
        payload = b"\x01" + message
    else:
        payload = b"\x02" + bytes([HASHES[hash_name]]) + prefixed(message)
    return (
        bytes([len(DOMAIN)])
        + DOMAIN
        + prefixed(requester.encode("ascii"))
        + request.bytes
        + expires_at.to_bytes(8, "big")
        + account.bytes
        + prefixed(public_key)
        + (0).to_bytes(4, "big")  # the derivation path: the account's key itself
        + payload
    )


def sign(key_file, data):
    """64 bytes: Ed25519 (RFC 8032), or ECDSA over P-256 with SHA-256 as r and s (IEEE P1363)."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        return sign_with_openssl(key_file, data)
    return sign_with_cryptography(key_file, data)


def sign_with_cryptography(key_file, data):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with open(key_file, "rb") as file:
        key = load_pem_private_key(file.read(), password=None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return fixed_length(key.sign(data, ec.ECDSA(hashes.SHA256())))
    raise ValueError(f"{key_file} holds neither an Ed25519 nor a P-256 key")


def sign_with_openssl(key_file, data):
    kind = openssl("pkey", "-in", key_file, "-noout", "-text")
    if b"ED25519" in kind:
        # Ed25519 reads its message twice, so openssl wants a file.
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", key_file, "-in", file.name)
    if b"prime256v1" in kind:
        return fixed_length(openssl("dgst", "-sha256", "-sign", key_file, stdin=data))
    raise ValueError(f"{key_file} holds neither an Ed25519 nor a P-256 key")


def openssl(*arguments, stdin=b""):
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"openssl {arguments[0]} failed: {done.stderr.decode(errors='replace')}")
    return done.stdout


def fixed_length(der):
    """r and s of 32 bytes each, from the DER sequence of two integers (RFC 3279, 2.2.3)."""
    r_end = 4 + der[3]
    r, s = der[4:r_end], der[r_end + 2 :]
    return b"".join(int.from_bytes(part, "big").to_bytes(32, "big") for part in (r, s))


def parse(arguments):
    parser = argparse.ArgumentParser(description="Signs a sign request as a requester.")
    parser.add_argument("--account", type=uuid.UUID, required=True)
    parser.add_argument("--public-key", type=bytes.fromhex, required=True, help="the account's")
    parser.add_argument("--message", type=bytes.fromhex, required=True)
    parser.add_argument("--hash", choices=HASHES, help="without it the message is a digest")
    parser.add_argument("--raw", action="store_true", help="signed as it is: for Ed25519")
    parser.add_argument("--requester", required=True, help="the name that the parties know")
    parser.add_argument("--key", help="PEM file of the requester's private key")
    parser.add_argument("--request-id", type=uuid.UUID, help="used once; drawn when not given")
    parser.add_argument("--expires-at", type=int, help="milliseconds since the Unix epoch")
    parser.add_argument("--canonical", action="store_true", help="print what is signed, as hex")
    parser.add_argument("--openssl", action="store_true", help="sign with the openssl command")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    request = options.request_id or uuid.uuid4()
    expires_at = options.expires_at or int((time.time() + LIFE_IN_SECONDS) * 1000)
    try:
        data = canonical_bytes(
            options.requester,
            request,
            expires_at,
            options.account,
            options.public_key,
            options.message,
            options.hash,
            options.raw,
        )
        if options.canonical:
            print(data.hex())
            return 0
        if options.key is None:
            raise ValueError("nothing to sign with: give --key FILE")
        signature = (sign_with_openssl if options.openssl else sign)(options.key, data)
    except (ValueError, OSError) as error:
        print(f"sign_request.py: {error}", file=sys.stderr)
        return 2
    body = {"message": options.message.hex()}
    if options.hash is not None:
        body["hash"] = options.hash
    if options.hash is not None or options.raw:
        body["encoding"] = "hex"
    body["request_id"] = str(request)
    body["authorization"] = {
        "requester": options.requester,
        "expires_at": expires_at,
        "signature": signature.hex(),
    }
    print(json.dumps(body))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
