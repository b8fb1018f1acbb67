#!/usr/bin/python3
"""Compares the response parser with http.client's: dispatch_response_differential.py PROGRAM.

What the parser may accept at all is written down here a second time, as expressions; of what is
accepted, http.client says the status, where the answer ends and whether the connection stays.
"""
import http.client
import io
import random
import re
import struct
import subprocess
import sys

SEED, COUNT, FEWEST = 20261124, 40000, 8000
STATUSES = ['200', '204', '304', '404', '405', '503', '600', '999', '099', '20', '2000', 'abc']
VERSIONS = ['HTTP/1.1'] * 6 + ['HTTP/1.0', 'HTTP/1.2', 'HTTP/2', 'http/1.1']
REASONS = [' Purged', ' OK', ' ', '', ' Caf\u00e9', ' a\tb', '  x']
LENGTHS = ['0', '3', '5', '005', '-1', '+3', '3, 3', '', '3 ', '0x3', '99999999999999999999']
CONNECTIONS = ['close', 'keep-alive', 'Close', 'x, close', 'upgrade', 'keep-alive, x', 'a b']
OTHERS = ['Server: ATS/9.2', 'X:', 'X-Empty: ', 'A: b: c', 'Age:1', ' folded', 'No-Colon',
          'Bad Name: x', ': nameless', 'X: caf\u00e9', 'X: tab\there', 'Content-Type: text/plain']
SIZES = ['3', '3', '03', '3;ext=1', '3 ;e', '+3', '0x3', '', 'g', '3_0']
PIECES = ['\r', '\n', ' ', '\t', ':', ',', ';', '0', '7', '\x00', '\x7f', '\u00e9', '\r\n', 'a']

TEXT = rb'[\t\x20-\x7e\x80-\xff]*'
TOKEN = rb"[0-9A-Za-z!#$%&'*+.^_`|~-]+"
STATUS_LINE = re.compile(rb'HTTP/1\.([01]) ([1-9][0-9]{2})(?: ' + TEXT + rb')?\r\n')
FIELD = re.compile(rb'(' + TOKEN + rb'):(' + TEXT + rb')\r\n')
CHUNK = re.compile(rb'([0-9A-Fa-f]{1,15})[ \t]*(?:;' + TEXT + rb')?\r\n')
LIST = re.compile(rb'(?:' + TOKEN + rb')?(?:[ \t]*,[ \t]*(?:' + TOKEN + rb')?)*')

NO_OPINION = object()


class Kept(io.BytesIO):
    """Stays readable when http.client closes it, so that it tells how far it was read."""

    def makefile(self, _mode):
        return self

    def close(self):
        pass


def answer(choose):
    lines = [choose.choice(VERSIONS) + ' ' + choose.choice(STATUSES[:7] * 4 + STATUSES) +
             choose.choice(REASONS)]
    body = ''
    for _ in range(choose.randrange(3)):
        lines.append(choose.choice(OTHERS[:5] * 3 + OTHERS))
    framing = choose.randrange(8)
    if framing < 4:
        lines.append('Content-Length: ' + choose.choice(LENGTHS[:4] * 4 + LENGTHS))
        body = 'abcdef'[:choose.choice([0, 3, 5, 6])]
    elif framing < 6:
        lines.append('Transfer-Encoding: ' + choose.choice(['chunked'] * 4 + ['Chunked', 'gzip']))
        for _ in range(choose.randrange(3)):
            body += choose.choice(SIZES[:5] * 4 + SIZES) + '\r\nabc\r\n'
        body += '0\r\n' + choose.choice(['', '', 'T: x\r\n']) + '\r\n'
    if choose.randrange(8) == 0:
        lines.append('content-length: ' + choose.choice(LENGTHS))
    if choose.randrange(3) == 0:
        lines.append('Connection: ' + choose.choice(CONNECTIONS))
    if choose.randrange(2) == 0:
        lines[1:] = choose.sample(lines[1:], len(lines) - 1)
    return '\r\n'.join(lines) + '\r\n\r\n' + body


def corpus():
    choose = random.Random(SEED)
    texts = {}
    for _ in range(COUNT):
        text = answer(choose)
        if choose.randrange(6) == 0:
            text = 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n' + text
        if choose.randrange(3) == 0:
            at = choose.randrange(len(text))
            text = text[:at] + choose.choice(PIECES + ['']) + text[at + choose.randrange(2):]
        texts[text.encode('latin-1')] = None
    return list(texts)


def fields(text, at):
    """(lower-case names and values, where the empty line ends), or None."""
    found = []
    while text[at:at + 2] != b'\r\n':
        line = FIELD.match(text, at)
        if not line:
            return None
        found.append((line.group(1).lower(), line.group(2).lstrip(b' \t')))
        at = line.end()
    return found, at + 2


def elements(value):
    """What a comma-separated list names, in lower case."""
    return [word for word in (part.strip(b' \t').lower() for part in value.split(b',')) if word]


def may_be_accepted(found):
    """Whether the fields say in one way only where the answer ends, and who closes."""
    lengths = {value.strip(b' \t') for name, value in found if name == b'content-length'}
    codings = [value for name, value in found if name == b'transfer-encoding']
    words = [elements(value) for value in codings]
    last = [word for value in words for word in value]
    if any(not re.fullmatch(rb'[0-9]{1,18}', value) for value in lengths):
        return False
    if len({int(value) for value in lengths}) > 1 or (lengths and codings):
        return False
    if not all(words) or b'chunked' in last[:-1]:
        return False
    if not all(re.fullmatch(rb'(?:' + TOKEN + rb')?', word.split(b';')[0].strip(b' \t'))
               for word in last):
        return False
    return all(LIST.fullmatch(value.strip(b' \t'))
               for name, value in found if name == b'connection')


def http_client_misreads(found):
    """It sees chunked only when it stands alone, and options in parts of words."""
    for name, value in found:
        words = elements(value)
        if name == b'transfer-encoding' and b'chunked' in words and value.lower() != b'chunked':
            return True
        if name == b'connection' and any(option in value.lower() and option not in words
                                         for option in (b'close', b'keep-alive')):
            return True
    return sum(name == b'transfer-encoding' for name, _ in found) > 1


def chunks_are_strict(text, at):
    while True:
        size = CHUNK.match(text, at)
        if not size:
            return False
        at = size.end() + int(size.group(1), 16)
        if int(size.group(1), 16) == 0:
            return fields(text, at) is not None
        if text[at:at + 2] != b'\r\n':
            return False
        at += 2


def expected(text):
    """(status, end, kept), None when it is to be refused or cut off, or NO_OPINION."""
    before = 0
    while True:
        line = STATUS_LINE.match(text, before)
        head = line and fields(text, line.end())
        if not head or line.group(2) == b'101':
            return None
        found, body = head
        if not may_be_accepted(found):
            return None
        if line.group(2)[:1] != b'1':
            break
        before = body
    if http_client_misreads(found):
        return NO_OPINION
    stream = Kept(text[before:])
    response = http.client.HTTPResponse(stream, method='PURGE')
    response.begin()
    if response.length is None and not response.chunked:
        return response.status, body, 0
    bodiless = response.status in (204, 304)
    if response.chunked and not bodiless and not chunks_are_strict(text, body):
        return None
    if bodiless:
        return response.status, body, int(not response.will_close)
    try:
        response.read()
    except http.client.IncompleteRead:
        return None
    return response.status, before + stream.tell(), int(not response.will_close)


def main():
    texts = corpus()
    done = subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, check=True, timeout=120,
                          input=b''.join(struct.pack('<I', len(text)) + text for text in texts))
    lines = done.stdout.decode().splitlines()
    if len(lines) != len(texts):
        sys.exit('%d answers, %d lines' % (len(texts), len(lines)))
    accepted = differences = 0
    for text, line in zip(texts, lines):
        ours = None if line == '!' else tuple(map(int, line.split()))
        accepted += ours is not None
        theirs = expected(text)
        if theirs is not NO_OPINION and ours != theirs:
            differences += 1
            if differences <= 20:
                print('%r: ours %s, http.client %r' % (text, line, theirs))
    print('%d answers, %d accepted, %d differences' % (len(texts), accepted, differences))
    sys.exit(differences > 0 or accepted < FEWEST)


main()
