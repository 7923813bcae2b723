#!/usr/bin/env python3
"""Reads a Hyperkeep vault with nothing but its format documents.

This program shares no code with Hyperkeep. It was written from the documents beside it, and is
run against Hyperkeep's own vaults by the tests, so that the documents stay sufficient. It is also
a last resort: it needs Python and three packages (cryptography, argon2-cffi, zstandard).

    reader.py VAULT list                                 restore points, disks and files
    reader.py VAULT disk POINT NAME OUT                  a disk, its layers put together
    reader.py VAULT layer POINT NUMBER OUT               one layer by itself
    reader.py VAULT file POINT NUMBER OUT                a file
    reader.py VAULT check                                hashes, signatures, every chunk, none missing

with one of --passphrase TEXT, --recovery CODE, --recipient KEY after VAULT. Add --json to `list` for
programs.
"""

import argparse
import base64
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

import zstandard
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MAX_CHUNK = 16 << 20
MAX_SECTION = 16 << 20


class Bad(Exception):
    """The vault breaks a rule of its format."""


def need(condition, what):
    if not condition:
        raise Bad(what)


# ---------------------------------------------------------------- README.md: primitives


def hkdf(ikm, salt, info, length=32):
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(ikm)


def unseal(key, offset, aad, sealed):
    nonce = struct.pack("<QI", offset, 0)
    try:
        return AESGCM(key).decrypt(nonce, bytes(sealed), aad)
    except InvalidTag:
        raise Bad("a sealed piece does not authenticate") from None


def payload(data, limit):
    need(len(data) >= 1, "an empty payload")
    if data[0] == 0:
        plain = data[1:]
    elif data[0] == 1:
        frame = data[1:]
        size = zstandard.frame_content_size(frame)
        need(0 <= size <= limit, "a frame of unknown or excessive size")
        plain = zstandard.ZstdDecompressor().decompress(frame, max_output_size=limit)
        need(len(plain) == size, "a frame of another size than it says")
    else:
        raise Bad(f"unknown compression {data[0]}")
    need(len(plain) <= limit, "a payload above its limit")
    return plain


def hpke_open(private, enc, info, aad, sealed):
    """RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message."""

    def extract(salt, suite, label, ikm):
        return hmac.new(salt, b"HPKE-v1" + suite + label + ikm, hashlib.sha256).digest()

    def expand(key, suite, label, info, length):
        labeled = struct.pack(">H", length) + b"HPKE-v1" + suite + label + info
        return HKDFExpand(algorithm=hashes.SHA256(), length=length, info=labeled).derive(key)

    key = X25519PrivateKey.from_private_bytes(private)
    public = key.public_key().public_bytes_raw()
    dh = key.exchange(X25519PublicKey.from_public_bytes(enc))
    kem = b"KEM" + struct.pack(">H", 0x0020)
    shared = expand(extract(b"", kem, b"eae_prk", dh), kem, b"shared_secret", enc + public, 32)
    suite = b"HPKE" + struct.pack(">HHH", 0x0020, 0x0001, 0x0002)
    context = b"\0" + extract(b"", suite, b"psk_id_hash", b"") + extract(b"", suite, b"info_hash", info)
    secret = extract(shared, suite, b"secret", b"")
    aead_key = expand(secret, suite, b"key", context, 32)
    nonce = expand(secret, suite, b"base_nonce", context, 12)
    try:
        return AESGCM(aead_key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Bad("an HPKE message does not open with this key") from None


def verify(public, domain, parts, signature):
    message = domain.encode() + b"\0" + hashlib.sha256(b"".join(parts)).digest()
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        raise Bad(f"a bad signature: {domain}") from None


def canonical(document, proof):
    members = {name: value for name, value in document.items() if name != proof}
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def prefix(data, kind, vault):
    need(data[:4] == b"\x89HKV", "not an object of a vault")
    need(data[4:8] == kind, f"not a {kind.decode()} but a {data[4:8]!r}")
    version, variant, required = struct.unpack_from("<HHI", data, 8)
    need(version == 1, f"{kind.decode()} of format version {version}")
    need(required == 0, f"{kind.decode()} requires features {required:#x}")
    need(data[16:32] == vault, "an object of another vault")
    return variant


# ---------------------------------------------------------------- keys.md


def read_document(path, kind):
    document = json.loads(path.read_bytes())
    need(document.get("hyperkeep") == kind, f"{path} is no {kind}")
    need(document["version"] == 1, f"{path} has format version {document['version']}")
    need(document["required"] == [], f"{path} requires {document['required']}")
    return document


def recovery_bytes(code):
    letters = [c for c in code.upper() if c not in "- \t\n"]
    letters = ["1" if c in "IL" else "0" if c == "O" else c for c in letters]
    need(len(letters) == 40, "a recovery code has 8 groups of 5 characters")
    symbols = [CROCKFORD.index(c) for c in letters]

    def power(x, n):
        for _ in range(n):
            x = (x << 1 & 31) ^ (5 if x & 16 else 0)
        return x

    bits = 0
    for group in range(8):
        *data, check = symbols[5 * group : 5 * group + 5]
        expected = power(1, group + 5)
        for i, symbol in enumerate(data):
            expected ^= power(symbol, i + 1)
            bits = bits << 5 | symbol
        need(expected == check, f"group {group + 1} of the recovery code is mistyped")
    return bits.to_bytes(20, "big")


def recipient_key(text, start):
    text = text.strip().lower()
    need(text.startswith(start), f"a key that begins with {start}")
    body = text[len(start) :].upper()
    data = base64.b32decode(body + "=" * (-len(body) % 8))
    need(data[32:] == hashlib.sha256(start.encode() + data[:32]).digest()[:5], "a mistyped key")
    return data[:32]


class Keys:
    def __init__(self, plain):
        need(len(plain) == 194 and plain[0] == 1 and plain[1] & ~3 == 0, "sealed keys")
        fields = [plain[2 + 32 * i : 34 + 32 * i] for i in range(6)]
        self.id, self.map, self.data_public, self.authority, private, _ = fields
        self.private = private if plain[1] & 1 else None
        info = b"hyperkeep/v1 vault id" + self.data_public + self.authority
        self.vault = hkdf(self.id + self.map, b"", info, 16)

    def sub(self, salt, purpose):
        return hkdf(self.map, salt, b"hyperkeep/v1 " + purpose)


def open_slot(document, args):
    aad = canonical(document, "sealed")
    sealed = base64.b64decode(document["sealed"])
    holder = document["holder"]
    if holder == "recipient" and args.recipient:
        private = recipient_key(args.recipient, "hyperkeep-secret-")
        return hpke_open(private, sealed[:32], b"hyperkeep/v1 slot recipient", aad, sealed[32:])
    salt = base64.b64decode(document.get("salt", ""))
    if holder == "passphrase" and args.passphrase:
        cost = document["argon2id"]
        memory, passes, lanes = cost["memory_kib"], cost["passes"], cost["lanes"]
        fair = memory <= 1 << 20 and passes <= 64 and lanes <= 16 and memory * passes <= 1 << 22
        need(fair, f"{memory} KiB, {passes} passes, {lanes} lanes are more than a slot may cost")
        secret = hash_secret_raw(args.passphrase.encode(), salt, passes, memory, lanes, 32, Type.ID, 0x13)
    elif holder == "recovery" and args.recovery:
        secret = recovery_bytes(args.recovery)
    else:
        return None
    key = hkdf(secret, salt, b"hyperkeep/v1 slot " + holder.encode())
    return unseal(key, 0, aad, sealed)


# ---------------------------------------------------------------- pack.md


class Pack:
    def __init__(self, keys, path):
        self.path = path
        self.data = data = path.read_bytes()
        need(hashlib.sha256(data).hexdigest() == path.name, f"{path} is not what its name says")
        self.kind = prefix(data, b"PACK", keys.vault)
        need(self.kind in (1, 2), f"pack kind {self.kind}")
        self.header = data[: 160 if self.kind == 1 else 80]
        salt = data[32:64]
        if self.kind == 2:
            self.key = keys.sub(salt, b"map chunks")
        elif keys.private:
            wrapped = data[80:160]
            info = b"hyperkeep/v1 data key"
            data_key = hpke_open(keys.private, wrapped[:32], info, data[:80], wrapped[32:])
            self.key = hkdf(data_key, salt, b"hyperkeep/v1 data chunks")
        else:
            self.key = None
        trailer = data[-88:]
        need(trailer[80:] == b"HKVPKEND", f"{path} is truncated")
        offset, length, zero = struct.unpack_from("<QII", trailer)
        need(zero == 0 and offset + length + 88 == len(data), "a directory out of place")
        self.sealed = data[offset : offset + length]
        self.position, self.signature = trailer[:16], trailer[16:80]
        directory = unseal(keys.sub(salt, b"pack directory"), offset, self.header, self.sealed)
        (count,) = struct.unpack_from("<I", directory)
        need(len(directory) == 4 + 40 * count, "a directory of another length")
        self.chunks = {}
        at = len(self.header)
        for i in range(count):
            chunk, stored, plain = struct.unpack_from("<32sII", directory, 4 + 40 * i)
            self.chunks[chunk] = (at, stored, plain)
            at += stored
        need(at == offset, "chunks that do not reach the directory")

    def read(self, chunk):
        offset, stored, length = self.chunks[chunk]
        need(self.key, "data needs the private data key; this slot can only write")
        plain = payload(unseal(self.key, offset, self.header, self.data[offset : offset + stored]), MAX_CHUNK)
        need(len(plain) == length, "a chunk of another length")
        return plain


# ---------------------------------------------------------------- map.md


def leaf_entries(node, at):
    chunks, count = struct.unpack_from("<II", node, at)
    at += 8
    need(len(node) == at + 32 * chunks + 16 * count, "a leaf of another length")
    ids = [node[at + 32 * i : at + 32 * i + 32] for i in range(chunks)]
    at += 32 * chunks
    end = 0
    for i in range(count):
        offset, length, number, within = struct.unpack_from("<IIII", node, at + 16 * i)
        need(length > 0 and offset >= end, "entries out of order")
        end = offset + length
        if number == 0xFFFFFFFF:
            yield offset, length, "zero", 0
        elif number == 0xFFFFFFFE:
            yield offset, length, None, 0
        else:
            yield offset, length, ids[number], within


class Vault:
    def __init__(self, args):
        self.path = Path(args.vault)
        self.description = read_document(self.path / "vault.json", "vault")
        self.segment = self.description["segment"]
        self.keys = self.unlock(args)
        proof = base64.b64decode(self.description["proof"])
        key = hkdf(self.keys.map, self.keys.vault, b"hyperkeep/v1 proof vault.json")
        text = canonical(self.description, "proof")
        need(hmac.compare_digest(hmac.digest(key, text, "sha256"), proof), "vault.json was changed")
        self.packs = [Pack(self.keys, path) for path in sorted(self.path.glob("packs/*/*"))]
        # Two writers may have stored one chunk: then either copy serves.
        self.places = {}
        for pack in self.packs:
            for chunk in pack.chunks:
                self.places.setdefault(chunk, []).append(pack)

    def unlock(self, args):
        refused = []
        for path in sorted((self.path / "keys").iterdir()):
            if path.name.startswith("writer-"):
                continue
            slot = read_document(path, "key-slot")
            try:
                plain = open_slot(slot, args)
            except Bad as why:
                refused.append(f"{path.name}: {why}")
                continue
            if plain:
                keys = Keys(plain)
                named = self.description["vault"]
                need(keys.vault.hex() == slot["vault"] == named, "keys of another vault")
                return keys
        raise Bad("; ".join(["no key slot opens with this secret", *refused]))

    def chunk(self, chunk):
        need(chunk in self.places, f"chunk {chunk.hex()} is in no pack")
        *others, last = self.places[chunk]
        for pack in others:
            try:
                return pack.read(chunk)
            except Bad:
                continue
        return last.read(chunk)

    def node(self, node, kinds):
        data = self.chunk(node)
        need(data[0] in kinds and data[1] == 1, f"node type {data[0]} version {data[1]}")
        return data

    def leaf(self, node):
        """The entries of a leaf: (offset, length, chunk or "zero", offset within the chunk)."""
        data = self.node(node, (1, 2))
        if data[0] == 1:
            return list(leaf_entries(data, 4))
        entries = list(leaf_entries(self.node(data[4:36], (1,)), 4))
        for start, length, chunk, within in leaf_entries(data, 36):
            end, kept = start + length, []
            for offset, size, source, skip in entries:
                if offset < start:
                    kept.append((offset, min(size, start - offset), source, skip))
                if offset + size > end:
                    cut = max(0, end - offset)
                    kept.append((offset + cut, size - cut, source, skip + cut))
            if chunk is not None:
                kept.append((start, length, chunk, within))
            entries = sorted(kept, key=lambda entry: entry[0])
        return entries

    def leaves(self, node, height, first=0):
        """(number of the segment, entries) of all leaves under a node."""
        if height == 0:
            yield first, self.leaf(node)
            return
        data = self.node(node, (3,))
        (count,) = struct.unpack_from("<I", data, 4)
        need(data[2] == height and len(data) == 8 + 33 * count, "an inner node out of place")
        for i in range(count):
            at = 8 + count + 32 * i
            yield from self.leaves(data[at : at + 32], height - 1, first * 256 + data[8 + i])

    def map(self, root):
        """The length of a disk or file, and its entries by address."""
        data = self.node(root, (4,))
        height, segment, length, top = data[3], *struct.unpack_from("<IQ8xI", data, 4)
        need(segment == self.segment and len(data) == 28 + 32 * top, "a root of another length")
        leaves = self.leaves(data[28:60], height) if top else ()
        return length, ((n * segment + entry[0], *entry[1:]) for n, leaf in leaves for entry in leaf)

    def extract(self, roots, out):
        """Writes the layers `roots`, the base first, over each other."""
        with open(out, "w+b") as file:
            for root in roots:
                length, entries = self.map(root)
                file.truncate(length)
                for address, size, chunk, within in entries:
                    file.seek(address)
                    if chunk == "zero":
                        file.write(bytes(size))
                        continue
                    part = self.chunk(chunk)[within : within + size]
                    need(len(part) == size, "an entry beyond its chunk")
                    file.write(part)

    # ------------------------------------------------------------ point.md

    def points(self):
        for path in sorted(self.path.glob("points/*/*")):
            data = path.read_bytes()
            point, name = path.name.split("-")
            need(hashlib.sha256(data).hexdigest() == name, f"{path} is not what its name says")
            prefix(data, b"POIN", self.keys.vault)
            a, b = struct.unpack_from("<II", data, 160)
            need(len(data) == 168 + a + b + 64, f"{path} has another length")
            header, salt, wrapped = data[:168], data[32:64], data[80:160]
            key = self.keys.sub(salt, b"point outline")
            outline = json.loads(payload(unseal(key, 168, header, data[168 : 168 + a]), MAX_SECTION))
            need(outline["required"] == [], f"a point requires {outline['required']}")
            need((outline["vm"], outline["point"]) == (path.parent.name, point), "a point under another name")
            details = None
            if self.keys.private:
                info = b"hyperkeep/v1 data key"
                data_key = hpke_open(self.keys.private, wrapped[:32], info, data[:80], wrapped[32:])
                key = hkdf(data_key, salt, b"hyperkeep/v1 point details")
                sealed = data[168 + a : 168 + a + b]
                details = json.loads(payload(unseal(key, 168 + a, header, sealed), MAX_SECTION))
                need(details["required"] == [], f"a point requires {details['required']}")
            yield path, outline, details, data

    def find(self, start):
        found = [(o, d) for _, o, d, _ in self.points() if o["point"].startswith(start)]
        need(len(found) == 1, f"{len(found)} points begin with {start}")
        return found[0]

    # ------------------------------------------------------------ verification, not needed to read

    def check(self):
        """Verifies everything; gives what was signed by writers without certificate."""
        self.uncertified, self.writers = [], {}
        for path in (self.path / "keys").glob("writer-*"):
            document = read_document(path, "writer")
            signature = base64.b64decode(document["signature"])
            text = canonical(document, "signature")
            verify(self.keys.authority, "hyperkeep/v1 writer", [text], signature)
            public = bytes.fromhex(document["public"])
            self.writers[hashlib.sha256(public).digest()[:16]] = public
        for pack in self.packs:
            parts = [pack.header, pack.sealed, pack.position]
            self.signed(pack.path, pack.header[64:80], "hyperkeep/v1 pack", parts, pack.signature)
            if pack.key:
                for chunk in pack.chunks:
                    pack.read(chunk)
        for path, outline, _, data in self.points():
            self.signed(path, data[64:80], "hyperkeep/v1 point", [data[:-64]], data[-64:])
            for item in outline["layers"] + outline["files"]:
                self.complete(bytes.fromhex(item["root"]), item["len"])
        records = {"tokens": b"TOKN", "sessions": b"SESS", "retire": b"RETR"}
        for folder, kind in records.items():
            for path in filter(Path.is_file, (self.path / folder).rglob("*")):
                self.record(path, kind)
        packs = {hashlib.sha256(pack.data).digest(): pack for pack in self.packs}
        for path in (self.path / "index").glob("*"):
            self.index(path, packs)
        return self.uncertified

    def complete(self, root, said):
        length, entries = self.map(root)
        need(length == said, "a map of another length than its point says")
        for _, size, chunk, within in entries:
            if chunk != "zero":
                need(chunk in self.places, f"chunk {chunk.hex()} is in no pack")
                plain = self.places[chunk][0].chunks[chunk][2]
                need(within + size <= plain, "an entry beyond its chunk")

    def signed(self, path, writer, domain, parts, signature):
        if writer in self.writers:
            verify(self.writers[writer], domain, parts, signature)
        else:
            self.uncertified.append(f"{path.relative_to(self.path).as_posix()}: writer {writer.hex()}")

    def record(self, path, kind):
        data, name = path.read_bytes(), path.relative_to(self.path).as_posix().encode()
        prefix(data, kind, self.keys.vault)
        (length,) = struct.unpack_from("<I", data, 80)
        need(len(data) == 88 + length + 64, f"{path} has another length")
        parts = [hashlib.sha256(name).digest(), data[:-64]]
        self.signed(path, data[64:80], "hyperkeep/v1 record", parts, data[-64:])
        purpose = {b"TOKN": b"token", b"SESS": b"session", b"RETR": b"retire"}[kind]
        body = unseal(self.keys.sub(data[32:64], purpose), 88, data[:88] + name, data[88:-64])
        return json.loads(payload(body, MAX_SECTION))

    def index(self, path, packs):
        data = path.read_bytes()
        need(hashlib.sha256(data).hexdigest() == path.name, f"{path} is not what its name says")
        prefix(data, b"INDX", self.keys.vault)
        need(data[-8:] == b"HKVIXEND", f"{path} is truncated")
        offset, length = struct.unpack_from("<QI", data, len(data) - 24)
        key, header = self.keys.sub(data[32:64], b"index run"), data[:64]
        root = unseal(key, offset, header, data[offset : offset + length])
        count, blocks = struct.unpack_from("<II", root)
        table = [struct.unpack_from("<32sIB", root, 8 + 40 * i) for i in range(count)]
        for i in range(blocks):
            at = 8 + 40 * count + 48 * i
            first, start, size, entries = struct.unpack_from("<32sQII", root, at)
            block = unseal(key, start, header, data[start : start + size])
            need(len(block) == 48 * entries and block[:32] == first, "a block out of place")
            for n in range(entries):
                chunk, number, *place = struct.unpack_from("<32sIIII", block, 48 * n)
                need(number < count, "an entry of no pack")
                name, length, kind = table[number]
                pack = packs.get(name)
                if pack is None:
                    continue  # The pack is gone: its entries are passed over.
                need((len(pack.data), pack.kind) == (length, kind), "the index means another pack")
                need(pack.chunks.get(chunk) == tuple(place), "the index and a pack disagree")


def layers_of(details, head):
    """Numbers of a disk's layers, the base first."""
    parents = {layer["id"]: layer.get("parent") for layer in details["layers"]}
    chain = []
    while head is not None:
        need(head not in chain, "a layer is its own ancestor")
        chain.append(head)
        head = parents[head]
    return chain[::-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vault")
    parser.add_argument("--passphrase")
    parser.add_argument("--recovery")
    parser.add_argument("--recipient")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list").add_argument("--json", action="store_true")
    commands.add_parser("check")
    for name, what in (("disk", "name"), ("layer", "number"), ("file", "number")):
        command = commands.add_parser(name)
        command.add_argument("point")
        command.add_argument(what)
        command.add_argument("out")
    args = parser.parse_args()
    vault = Vault(args)
    if args.command == "list":
        found = [{"outline": o, "details": d} for _, o, d, _ in vault.points()]
        if args.json:
            json.dump(found, sys.stdout)
            return
        for outline, details in ((p["outline"], p["details"]) for p in found):
            vm = details["vm"]["name"] if details else outline["vm"]
            print(outline["point"], outline["taken"], outline["level"], outline["consistency"], vm)
            for disk in details["disks"] if details else []:
                level = disk.get("consistency", "unknown")
                print("   disk", disk["name"], level, "layers", layers_of(details, disk["head"]))
            for file in details["files"] if details else []:
                print("   file", file["id"], file["path"])
    elif args.command == "check":
        uncertified = vault.check()
        for what in uncertified:
            print("signed by a writer without certificate:", what)
        # Readable all the same; whether it is to be trusted, a person has to say.
        need(not uncertified, f"{len(uncertified)} objects that nobody vouches for; the rest is as it was written")
        print("everything is as it was written")
    else:
        outline, details = vault.find(args.point)
        layers = {layer["id"]: bytes.fromhex(layer["root"]) for layer in outline["layers"]}
        if args.command == "file":
            files = {file["id"]: bytes.fromhex(file["root"]) for file in outline["files"]}
            roots = [files[int(args.number)]]
        elif args.command == "layer":
            roots = [layers[int(args.number)]]
        else:
            need(details, "disks need the private data key; this slot can only write")
            heads = {disk["name"]: disk["head"] for disk in details["disks"]}
            need(args.name in heads, f"the point has no disk {args.name}, but {sorted(heads)}")
            roots = [layers[number] for number in layers_of(details, heads[args.name])]
        vault.extract(roots, args.out)


if __name__ == "__main__":
    try:
        main()
    except Bad as why:
        sys.exit(f"reader.py: {why}")
