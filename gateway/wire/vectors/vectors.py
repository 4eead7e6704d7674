"""Checks or completes the vectors of canonical.json.

`check` recomputes every vector; `fill` writes the computed parts (canonical bytes, hashes,
rotations, public keys and signatures) after somebody has edited or added values or seeds.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path

sys.dont_write_bytecode = True  # checking leaves no traces beside the vectors

import ed25519
import p256
from canonical import canonical_bytes, key32

VECTORS = Path(__file__).with_name("canonical.json")

COMPUTED = ("canonical", "sha256", "verifying_key", "rotations", "signature")

# Which field of a signed value names the signer. A key rotation is signed by the key before.
SIGNERS = {
    "join": "member",
    "hello": "party",
    "key-rotation": "before",
    "ban": "by",
    "inquiry": "by",
    "testimony": "by",
    "epoch": "by",
    "audit-head": "keeper",
}

# Requesters choose; everything else is signed with Ed25519.
ALGORITHMS = {"ed25519": ed25519, "p256": p256}

# RFC 6979, A.2.5: secret key, and message, r and s for SHA-256.
RFC_6979 = (
    "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
    (
        b"sample",
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    ),
    (
        b"test",
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
        "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
    ),
)


def rotations(seeds):
    """The bytes that a signature by the last of these keys starts with."""
    keys = [ed25519.public_key(seed) for seed in seeds]
    encoded = b""
    for number in range(1, len(seeds)):
        statement = {
            "party": keys[0].hex(),
            "number": number,
            "before": keys[number - 1].hex(),
            "key": keys[number].hex(),
        }
        signature = ed25519.sign(seeds[number - 1], canonical_bytes("key-rotation", statement))
        encoded += keys[number] + signature
    return encoded


def computed(vector):
    """The parts of a vector that follow from its type, value and seeds."""
    canonical = canonical_bytes(vector["type"], vector["value"])
    parts = {"canonical": canonical.hex(), "sha256": sha256(canonical).hexdigest()}
    if "seed" not in vector:
        return parts
    algorithm = ALGORITHMS[vector.get("algorithm", "ed25519")]
    seed = bytes.fromhex(vector["seed"])
    signature = algorithm.sign(seed, canonical)
    if "algorithm" in vector:
        parts["verifying_key"] = algorithm.public_key(seed).hex()
    if vector["type"] == "key-rotation":
        # Alone: the statement's number says how many came before.
        earlier = [bytes.fromhex(one) for one in vector["earlier_seeds"]]
        chain = [*earlier, seed, bytes.fromhex(vector["next_seed"])]
        parts["rotations"] = rotations(chain).hex()
    elif "earlier_seeds" in vector:
        earlier = [bytes.fromhex(one) for one in vector["earlier_seeds"]]
        prefix = rotations([*earlier, seed])
        parts["rotations"] = prefix.hex()
        signature = prefix + signature
    parts["signature"] = signature.hex()
    return parts


def is_partys_signature(party, canonical, signature):
    """Verifies as a party does: with nothing but the signer's name."""
    key, number = party, 0
    while len(signature) > 64:
        rotation, signature = signature[:96], signature[96:]
        number += 1
        statement = {
            "party": party.hex(),
            "number": number,
            "before": key.hex(),
            "key": rotation[:32].hex(),
        }
        signed = canonical_bytes("key-rotation", statement)
        if not ed25519.verify(key, signed, rotation[32:]):
            return False
        key = rotation[:32]
    return ed25519.verify(key, canonical, signature)


def signature_problems(vector, canonical):
    value, signature = vector["value"], bytes.fromhex(vector["signature"])
    if "algorithm" in vector:
        key = bytes.fromhex(vector["verifying_key"])
        if not ALGORITHMS[vector["algorithm"]].verify(key, canonical, signature):
            yield "the signature is not the requester's"
        return
    if not is_partys_signature(key32(value[SIGNERS[vector["type"]]]), canonical, signature):
        yield "the signature is not the signer's"
    if "signature" in value and bytes(value["signature"]) != signature:
        yield "the value has another signature than the vector"


def nested_problems(vector):
    """What is signed inside of a value has to be signed, too."""
    value = vector["value"]
    inner = [("join", one) for one in value.get("joins", ())]
    inner += [("ban", one) for one in value.get("bans", ())]
    for name, one in inner:
        signer, signature = key32(one[SIGNERS[name]]), bytes(one["signature"])
        if not is_partys_signature(signer, canonical_bytes(name, one), signature):
            yield f"a {name} within is not signed by its signer"


def requested(intent):
    """The signing request that an intent claims to fulfil, and its signature."""
    sign = intent["kind"].get("sign", {})
    authorization = sign.get("authorization")
    if authorization is None:
        return None
    request = {name: authorization[name] for name in ("requester", "expires_at")}
    request |= {name: sign[name] for name in ("account", "public_key", "path", "payload")}
    request["request"] = intent["request"]
    return request, bytes(authorization["signature"]).hex()


def authorization_problems(vector, vectors):
    claim = requested(vector["value"]) if vector["type"] == "intent" else None
    if claim is None:
        return
    made = [(one["value"], one["signature"]) for one in vectors if one["type"] == "signing-request"]
    if claim not in made:
        yield "no signing request of these vectors authorizes it"


def problems(vector, vectors):
    parts = computed(vector)
    for name in COMPUTED:
        if vector.get(name) != parts.get(name):
            yield f"{name} is {vector.get(name)}, computed {parts.get(name)}"
    if "signature" in parts:
        yield from signature_problems(vector, bytes.fromhex(parts["canonical"]))
    yield from nested_problems(vector)
    yield from authorization_problems(vector, vectors)


def check_p256():
    """This implementation of P-256 against the RFC's vectors."""
    secret = bytes.fromhex(RFC_6979[0])
    for message, r, s in RFC_6979[1:]:
        signature = p256.sign(secret, message)
        if signature.hex() != r + s:
            yield f"p256.py does not sign {message} as RFC 6979 does"
        if not p256.verify(p256.public_key(secret), message, signature):
            yield f"p256.py does not accept its own signature of {message}"


def check(vectors):
    failures = list(check_p256())
    failures += [
        f"{vector['type']}, {vector['name']}: {problem}"
        for vector in vectors
        for problem in problems(vector, vectors)
    ]
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(vectors)} vectors, {len(failures)} problems")
    return 1 if failures else 0


def fill(vectors):
    for vector in vectors:
        vector.update(computed(vector))
        if "signature" in vector["value"]:
            vector["value"]["signature"] = list(bytes.fromhex(vector["signature"]))
    VECTORS.write_text(layout(vectors), encoding="utf-8")
    return check(vectors)


def layout(vectors):
    """One line a part, so that a change of a vector reads well as a difference."""

    def entry(vector):
        parts = (f"    {json.dumps(name)}: {json.dumps(part)}" for name, part in vector.items())
        return "  {\n" + ",\n".join(parts) + "\n  }"

    return "[\n" + ",\n".join(entry(vector) for vector in vectors) + "\n]\n"


def main(arguments):
    verbs = {"check": check, "fill": fill}
    if len(arguments) != 1 or arguments[0] not in verbs:
        print("usage: python3 vectors.py check|fill", file=sys.stderr)
        return 2
    return verbs[arguments[0]](json.loads(VECTORS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
