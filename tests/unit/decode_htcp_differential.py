#!/usr/bin/python3
"""Compares read_htcp with a reader written from RFC 2756: decode_htcp_differential.py PROGRAM.

The corpus is seeded: good packets in both layouts, then the same with lengths, flags and sizes
changed. Both readers must accept the same packets with the same URI, and agree on the reason.
"""
import random
import struct
import subprocess
import sys

SEED, COUNT, FEWEST = 20261124, 30000, 3000
URIS = [b"http://en.wikipedia.org/wiki/Foo", b"", b"http://h/", b"http://h/\0x", b"http://h/\r\n",
        b"http://h/\xff\xfe", b"http://h/" + b"a" * 4096, b"http://h/" + b"a" * 8183,
        b"http://h/" + b"a" * 8700]


def counted(text):
    return struct.pack("!H", len(text)) + text


def packet(choose):
    """A good one, as its fields."""
    minor = choose.choice([0, 0, 0, 1, 2])
    fields = {
        "minor": minor, "major": 0, "op": 0x04 if minor == 0 else 0x40,
        "flags": choose.choice([0, 0, 0, 0x40 if minor == 0 else 0x02]),
        "id": choose.randrange(1 << 32), "reason": choose.choice([0, 0, 1, 15]),
        "strings": [choose.choice([b"HEAD", b"GET", b""]), choose.choice(URIS),
                    choose.choice([b"HTTP/1.0", b""]), choose.choice([b"", b"X: y\r\n"])],
        "auth": b"", "total": 0, "data": 0, "auth_length": 0, "cut": None}
    return fields


def spoil(fields, choose):
    what = choose.randrange(14)
    if what == 0:
        fields["total"] = choose.choice([-1, 1, 255, -20])
    elif what == 1:
        fields["data"] = choose.choice([-1, 1, -8, 2, 30000, -18, -30])
    elif what == 2:
        fields["major"] = choose.choice([1, 255])
    elif what == 3:
        fields["minor"] = choose.choice([0, 1, 255])
    elif what == 4:
        fields["op"] = choose.randrange(256)
    elif what == 5:
        fields["flags"] = choose.randrange(256)
    elif what == 6:
        fields["reason"] = choose.randrange(1 << 16)
    elif what == 7:
        fields["auth"] = b"s" * choose.choice([1, 2, 28])
    elif what == 8:
        fields["auth_length"] = choose.choice([-2, -1, 1, 2, 0x7fff])
    elif what == 9:
        fields["cut"] = choose.randrange(0, 40)
    elif what == 10:
        fields["strings"] = fields["strings"][:choose.randrange(4)]
    elif what == 11:
        fields["strings"].append(b"more")
    elif what == 12:
        fields["bad_string"] = (choose.randrange(4), choose.choice([0, 1, 0xffff, 4079, 65519]))
    else:
        fields["flip"] = (choose.randrange(200), choose.randrange(1, 256))


def pack(fields):
    strings = [counted(text) for text in fields["strings"]]
    if "bad_string" in fields:
        index, length = fields["bad_string"]
        if index < len(strings):
            strings[index] = struct.pack("!H", length) + strings[index][2:]
    data = struct.pack("!BBIH", fields["op"], fields["flags"], fields["id"],
                       fields["reason"]) + b"".join(strings)
    auth = struct.pack("!H", (2 + len(fields["auth"]) + fields["auth_length"]) & 0xffff)
    body = struct.pack("!H", (len(data) + 2 + fields["data"]) & 0xffff) + data
    body += auth + fields["auth"]
    total = (len(body) + 4 + fields["total"]) & 0xffff
    out = bytearray(struct.pack("!HBB", total, fields["major"], fields["minor"]) + body)
    if "flip" in fields and fields["flip"][0] < len(out):
        out[fields["flip"][0]] ^= fields["flip"][1]
    return bytes(out if fields["cut"] is None else out[:fields["cut"]])


def expected(datagram):
    """(transaction, uri), or the reason to refuse it."""
    if len(datagram) < 24:
        return "too_short"
    if len(datagram) > 8704:
        return "too_long"
    total, major, minor, data, op, flags, number, reserved = struct.unpack_from(
        "!HBBHBBIH", datagram)
    if total != len(datagram):
        return "bad_length"
    if major:
        return "bad_version"
    opcode, response = (op & 15, op >> 4) if minor == 0 else (op >> 4, op & 15)
    wanted = 0x40 if minor == 0 else 0x02
    if opcode != 4:
        return "not_clear"
    if response or flags not in (0, wanted):
        return "not_request"
    auth_at = 4 + data
    if data < 10 or auth_at + 2 > len(datagram):
        return "bad_length"
    auth, = struct.unpack_from("!H", datagram, auth_at)
    if auth_at + auth != len(datagram):
        return "bad_length"
    if auth > 2:
        return "signed"
    if reserved >> 4:
        return "not_request"
    at, strings = 14, []
    while at < auth_at:
        if at + 2 > auth_at:
            return "bad_length"
        length, = struct.unpack_from("!H", datagram, at)
        at += 2 + length
        if at > auth_at:
            return "bad_length"
        strings.append(datagram[at - length:at])
    return (number, strings[1]) if len(strings) == 4 else "bad_length"


def main():
    choose = random.Random(SEED)
    corpus = []
    for i in range(COUNT):
        fields = packet(choose)
        for _ in range(choose.choice([0, 1, 1, 1, 2]) if i else 0):
            spoil(fields, choose)
        corpus.append(pack(fields))
    done = subprocess.run([sys.argv[1]], input="".join(d.hex() + "\n" for d in corpus),
                          encoding="ascii", stdout=subprocess.PIPE, check=True, timeout=240)
    lines = done.stdout.split("\n")[:-1]
    if len(lines) != len(corpus):
        sys.exit("%d packets, %d answers" % (len(corpus), len(lines)))
    accepted = differences = 0
    reasons = {}
    for datagram, line in zip(corpus, lines):
        want = expected(datagram)
        if isinstance(want, tuple):
            accepted += 1
            want = "%d %s" % (want[0], want[1].hex())
        else:
            reasons[want] = reasons.get(want, 0) + 1
            want = "!" + want
        if line != want:
            differences += 1
            if differences <= 20:
                print("%s...: ours %s, the model %s" % (datagram[:64].hex(), line[:80], want[:80]))
    print("%d packets, %d accepted, refused %s, %d differences"
          % (len(corpus), accepted, reasons, differences))
    sys.exit(differences > 0 or accepted < FEWEST or len(reasons) < 7)


main()
