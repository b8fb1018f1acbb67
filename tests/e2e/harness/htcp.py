"""HTCP packets as MediaWiki sends them."""

import struct


def clr_packet(url, wants_answer=False):
    """An HTCP CLR as MediaWiki sends it; with `wants_answer` its bit RD is set."""
    fields = (b'HEAD', url.encode(), b'HTTP/1.0', b'')
    what = b''.join(struct.pack('>H', len(field)) + field for field in fields)
    data = struct.pack('>HBBIH', 10 + len(what), 4, 0x40 * wants_answer, 0, 0) + what
    return struct.pack('>HBB', 4 + len(data) + 2, 0, 0) + data + struct.pack('>H', 2)
