#!/usr/bin/python3
"""Compares the URL splitter with urllib's on a seeded corpus: decode_url_differential.py PROGRAM.

What the splitter may accept is written down here a second time, from the rules, on top of urllib.
Both must accept the same URIs, with the same host and the same target.
"""
import ipaddress
import random
import re
import subprocess
import sys
from urllib.parse import urlsplit

SEED, COUNT, FEWEST = 20261124, 40000, 2000
SCHEMES = ["http://", "https://", "//", "HTTP://", "hTTps://", "ftp://", "http:/", ""]
HOSTS = ["h", "h", "EN.Wiki.ORG", "a_b-c.d", "[::1]", "[2001:DB8::1]", "", "h%41", "h\\x", "u@h",
         "u:p@h", "[::zz]", "[::1", "\u00e9.org", "a" * 253, "a" * 254, "h,i", "h;i", "h i"]
PORTS = ["", "", "", ":", ":80", ":443", ":8080", ":0", ":65535", ":65536", ":08", ":8a", ":-1",
         ":+1", ":80:81", ":\u0663"]
PIECES = list("abcXYZ019/?#@:;=&%+._-~!$'()*,|\"<>^`{}\\[]") + [
    "\u00e9", "\u65e5", "\U0001f600", "%c3", "%C3", "%0a", "//", "/../", ".."]
CONTROLS = [" ", "\t", "\x01", "\x7f"]


def corpus():
    choose = random.Random(SEED)
    uris = {}
    for _ in range(COUNT):
        tail = "".join(choose.choice(PIECES) for _ in range(choose.randrange(24)))
        if tail and tail[0] not in "/?#":
            tail = "/" + tail
        if choose.randrange(20) == 0:
            tail += choose.choice(CONTROLS) + "x"
        uris[choose.choice(SCHEMES) + choose.choice(HOSTS) + choose.choice(PORTS) + tail] = None
    return list(uris)


def is_ipv6(text):
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def expected(uri):
    """Host and target, or None for a URI to refuse."""
    if re.search("[\x00-\x20\x7f]", uri):
        return None
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    defaults = {"http": (80,), "https": (443,), "": (80, 443)}.get(parts.scheme)
    host = parts.hostname or ""
    if defaults is None or not parts.netloc or "@" in parts.netloc or port == 0:
        return None
    if ":" in host:
        if not is_ipv6(host):
            return None
        host = "[" + host + "]"
    elif not re.fullmatch("[a-z0-9._-]{1,253}", host):
        return None
    if port is not None and port not in defaults:
        host += ":%d" % port
    target = parts.path + ("?" + parts.query if parts.query else "")
    # urllib forgets a '?' with nothing behind it; for a cache it is part of the key.
    if not parts.query and uri.split("#")[0].endswith("?"):
        target += "?"
    return host, target if target.startswith("/") else "/" + target


def main():
    uris = corpus()
    done = subprocess.run([sys.argv[1]], input="\n".join(uris) + "\n", encoding="utf-8",
                          stdout=subprocess.PIPE, check=True, timeout=120)
    lines = done.stdout.split("\n")[:-1]
    if len(lines) != len(uris):
        sys.exit("%d URIs, %d answers" % (len(uris), len(lines)))
    accepted = differences = 0
    for uri, line in zip(uris, lines):
        ours = None if line.startswith("!") else tuple(line.split("\t"))
        accepted += ours is not None
        if ours != expected(uri):
            differences += 1
            if differences <= 20:
                print("%r: ours %s, urllib %r" % (uri, line, expected(uri)))
    print("%d URIs, %d accepted, %d differences" % (len(uris), accepted, differences))
    sys.exit(differences > 0 or accepted < FEWEST)


main()
