"""Canonical bytes of mpc.v1, written a second time.

The reference for other languages: standard library only, and no code shared with the Rust crate.
Values are taken in their JSON form, as in canonical.json.
"""

from hashlib import sha256
from uuid import UUID

WIRE_VERSION = 1
SCHEMES = {"ecdsa-cggmp24": 1, "eddsa-frost-ed25519": 3, "schnorr-frost-secp256k1-tr": 4}
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


def uuid(text_form):
    return UUID(text_form).bytes


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


# What a session is for, and what a requester signs.


def payload(value):
    ((kind, content),) = value.items()
    if kind == "digest":
        return u8(1) + key32(content)
    if kind == "bytes" and content.keys() == {"bytes", "hash"}:
        return u8(2) + u8(HASH_FUNCTIONS[content["hash"]]) + prefixed(bytes(content["bytes"]))
    if kind == "canary" and content.keys() == {"plan"}:
        return u8(3) + key32(content["plan"])
    if kind == "message":
        return u8(4) + prefixed(bytes(content))
    raise ValueError(f"unknown payload {kind}")


def path(child_numbers):
    return counted([u32(number) for number in child_numbers])


authorization = record(requester=text, expires_at=u64, signature=fixed(64))

signing_request = record(
    requester=text,
    request=uuid,
    expires_at=u64,
    account=uuid,
    public_key=public_key,
    path=path,
    payload=payload,
)

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
            path=path,
            payload=payload,
            authorization=option(authorization),
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


def signed(**fields):
    """A record whose signature is not part of what is signed."""
    encode = record(**fields)
    return lambda value: encode({name: value[name] for name in value if name != "signature"})


join = signed(member=key32, plan_hash=key32, nonce=key32, hpke_key=key32)


def signing_key(join):
    """The key that a join is signed with: the member's first, or what its last rotation names."""
    rotations = bytes(join["signature"])[:-64]
    return rotations[-96:-64] if rotations else key32(join["member"])


def protocol_session(value):
    members = sorted(value["joins"], key=lambda one: key32(one["member"]))
    entry = record(member=key32, nonce=key32, hpke_key=key32)
    return (
        u16(WIRE_VERSION)
        + u8(value["stage"])
        + key32(value["plan_hash"])
        + counted(
            [
                entry({name: one[name] for name in ("member", "nonce", "hpke_key")})
                + signing_key(one)
                for one in members
            ]
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
        + option(lambda token: sha256(token.encode("utf-8")).digest())(value["token"])
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


# What parties say about themselves and each other.


key_rotation = record(party=key32, number=u32, before=key32, key=key32)

ban = signed(by=key32, banned=key32)


def accounts(ids):
    return counted(sorted({uuid(account) for account in ids}))


inquiry = signed(by=key32, nonce=key32, accounts=accounts)


def floors(by_account):
    return counted(sorted(uuid(account) + u32(epoch) for account, epoch in by_account.items()))


def bans(items):
    """Each with its signature's bytes, in the order given."""
    return counted([ban(item) + prefixed(bytes(item["signature"])) for item in items])


testimony = signed(by=key32, to=key32, nonce=key32, floors=floors, bans=bans)


# What holders say about the shares of an epoch.


epoch_plan = record(account=uuid, epoch=u32, plan=key32)

epoch_key = record(public_key=public_key, shares=key32)


def public_shares(by_holder):
    """The value of a hash: each holder's public share, in the order of the holders."""
    return counted(sorted(key32(holder) + public_key(share) for holder, share in by_holder.items()))


def verdict(value):
    if value == "refused":
        return u8(2)
    ((name, content),) = value.items()
    return u8({"stored": 1, "proven": 3}[name]) + epoch_key(content)


epoch_statement = signed(by=key32, of=epoch_plan, verdict=verdict)


# Audit logs.


entry = record(
    number=u64,
    at=u64,
    event=text,
    actor=text,
    subject=text,
    decision=text,
    policy=text,
    detail=text,
)

audit_entry = record(before=key32, entry=entry)

audit_head = signed(keeper=key32, head=record(count=u64, hash=key32))

TYPES = {
    "intent": ("mpc.v1/intent", intent),
    "plan": ("mpc.v1/plan", plan),
    "join": ("mpc.v1/join", join),
    "protocol-session": ("mpc.v1/protocol-session", protocol_session),
    "hello": ("mpc.v1/hello", hello),
    "round": ("mpc.v1/round", round_header),
    "canary": ("mpc.v1/canary", canary),
    "signing-request": ("mpc.v1/signing-request", signing_request),
    "key-rotation": ("mpc.v1/key-rotation", key_rotation),
    "ban": ("mpc.v1/ban", ban),
    "inquiry": ("mpc.v1/inquiry", inquiry),
    "testimony": ("mpc.v1/testimony", testimony),
    "public-shares": ("mpc.v1/public-shares", public_shares),
    "epoch": ("mpc.v1/epoch", epoch_statement),
    "audit-entry": ("mpc.v1/audit-entry", audit_entry),
    "audit-head": ("mpc.v1/audit-head", audit_head),
}


def canonical_bytes(name, value):
    """The canonical bytes of a value of the type with this name in canonical.json."""
    tag, encode = TYPES[name]
    return domain(tag) + encode(value)
