"""Canonical bytes of mpc.v1, written a second time.

The reference for requesters in other languages: standard library only, and no code shared with the
Rust crate. `check` recomputes every vector of canonical.json; `fill` writes the computed parts of
it (canonical bytes, hashes, signatures) after somebody has edited or added values.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path
from uuid import UUID

sys.dont_write_bytecode = True  # checking leaves no traces beside the vectors

import ed25519

VECTORS = Path(__file__).with_name("canonical.json")

WIRE_VERSION = 1
SCHEMES = {"ecdsa-cggmp24": 1}
HASH_FUNCTIONS = {"sha256": 1, "keccak256": 2}


# The encoding's own vocabulary.


def integer(width):
    return lambda value: value.to_bytes(width, "big")


u8, u16, u32, u64 = integer(1), integer(2), integer(4), integer(8)


def domain(text):
    return u8(len(text)) + text.encode("ascii")


def fixed(length):
    """Raw bytes, from hexadecimal text or (where the JSON has it so) a list of numbers."""

    def encode(value):
        raw = bytes.fromhex(value) if isinstance(value, str) else bytes(value)
        if len(raw) != length:
            raise ValueError(f"{len(raw)} bytes where {length} belong")
        return raw

    return encode


key32 = fixed(32)


def uuid(text):
    return UUID(text).bytes


def prefixed(raw):
    return u32(len(raw)) + raw


def text(value):
    return prefixed(value.encode("utf-8"))


def counted(items):
    return u32(len(items)) + b"".join(items)


def parties(ids):
    return counted(sorted({key32(party) for party in ids}))


def option(encode):
    return lambda value: u8(0) if value is None else u8(1) + encode(value)


def scheme(name):
    return u8(SCHEMES[name])


def public_key(text_form):
    return prefixed(bytes.fromhex(text_form))


def record(**fields):
    """Fields in their documented order; a value with more or fewer of them is refused."""

    def encode(value):
        if value.keys() != fields.keys():
            raise ValueError(f"fields {sorted(value)} where {sorted(fields)} belong")
        return b"".join(encode(value[name]) for name, encode in fields.items())

    return encode


# What a session is for.


def payload(value):
    if value == "canary":
        return u8(3)
    ((kind, content),) = value.items()
    if kind == "digest":
        return u8(1) + key32(content)
    if kind == "bytes" and content.keys() == {"bytes", "hash"}:
        return u8(2) + u8(HASH_FUNCTIONS[content["hash"]]) + prefixed(bytes(content["bytes"]))
    raise ValueError(f"unknown payload {kind}")


KINDS = {
    "keygen": (1, record(account=uuid, scheme=scheme, threshold=u16)),
    "aux": (2, record(scheme=scheme)),
    "sign": (
        3,
        record(
            account=uuid,
            epoch=u32,
            scheme=scheme,
            threshold=u16,
            public_key=public_key,
            payload=payload,
        ),
    ),
    "refresh": (
        4,
        record(account=uuid, epoch=u32, scheme=scheme, threshold=u16, aux_id=option(key32)),
    ),
    "reshare": (
        5,
        record(
            account=uuid,
            epoch=u32,
            scheme=scheme,
            old_threshold=u16,
            new_threshold=u16,
            new_holders=parties,
        ),
    ),
    "replace": (6, record(account=uuid, epoch=u32, scheme=scheme, threshold=u16, lost=key32)),
}


def kind(value):
    ((name, content),) = value.items()
    tag, encode = KINDS[name]
    return u8(tag) + encode(content)


intent = record(session=uuid, request=uuid, eligible=parties, expires_at=u64, kind=kind)


# What members agree on.


plan = record(session=uuid, intent_hash=key32, attempt=u32, quorum=parties, aux_id=option(key32))


def unsigned(value):
    return {name: field for name, field in value.items() if name != "signature"}


join_fields = record(member=key32, plan_hash=key32, nonce=key32, hpke_key=key32)


def join(value):
    return join_fields(unsigned(value))


def protocol_session(value):
    members = sorted(value["joins"], key=lambda one: key32(one["member"]))
    entry = record(member=key32, nonce=key32, hpke_key=key32)
    return (
        u16(WIRE_VERSION)
        + u8(value["stage"])
        + key32(value["plan_hash"])
        + counted(
            [entry({name: one[name] for name in ("member", "nonce", "hpke_key")}) for one in members]
        )
    )


def hello(value):
    challenge = value["challenge"]
    return (
        u16(WIRE_VERSION)
        + text(challenge["server"])
        + key32(challenge["nonce"])
        + key32(value["party"])
        + text(value["label"])
    )


round_header = record(
    **{
        "session": uuid,
        "attempt": u32,
        "from": key32,
        "to": key32,
        "stage": u8,
        "round": u16,
        "seq": u64,
    }
)

canary = record(account=uuid, epoch=u32, public_key=public_key)

TYPES = {
    "intent": ("mpc.v1/intent", intent),
    "plan": ("mpc.v1/plan", plan),
    "join": ("mpc.v1/join", join),
    "protocol-session": ("mpc.v1/protocol-session", protocol_session),
    "hello": ("mpc.v1/hello", hello),
    "round": ("mpc.v1/round", round_header),
    "canary": ("mpc.v1/canary", canary),
}


# The vectors.


def computed(vector):
    """The parts of a vector that follow from its type, value and seed."""
    tag, encode = TYPES[vector["type"]]
    canonical = domain(tag) + encode(vector["value"])
    parts = {"canonical": canonical.hex(), "sha256": sha256(canonical).hexdigest()}
    if "seed" in vector:
        parts["signature"] = ed25519.sign(bytes.fromhex(vector["seed"]), canonical).hex()
    return parts


def signature_problems(key, canonical, signature):
    if not ed25519.verify(key, canonical, signature):
        yield "the signature is not the signer's"


def problems(vector):
    parts = computed(vector)
    for name in ("canonical", "sha256", "signature"):
        if vector.get(name) != parts.get(name):
            yield f"{name} is {vector.get(name)}, computed {parts.get(name)}"
    canonical = bytes.fromhex(parts["canonical"])
    value = vector["value"]
    if vector["type"] == "join":
        yield from signature_problems(key32(value["member"]), canonical, bytes(value["signature"]))
        if bytes(value["signature"]).hex() != vector["signature"]:
            yield "the value has another signature than the vector"
    if vector["type"] == "hello":
        yield from signature_problems(
            key32(value["party"]), canonical, bytes.fromhex(vector["signature"])
        )
    if vector["type"] == "protocol-session":
        for one in value["joins"]:
            signed = domain("mpc.v1/join") + join(one)
            yield from signature_problems(key32(one["member"]), signed, bytes(one["signature"]))


def check(vectors):
    failures = [
        f"{vector['type']}, {vector['name']}: {problem}"
        for vector in vectors
        for problem in problems(vector)
    ]
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(vectors)} vectors, {len(failures)} problems")
    return 1 if failures else 0


def fill(vectors):
    for vector in vectors:
        vector.update(computed(vector))
        if vector["type"] == "join":
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
        print("usage: python3 canonical.py check|fill", file=sys.stderr)
        return 2
    return verbs[arguments[0]](json.loads(VECTORS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
