"""The few Kafka requests that tests need and kcat lacks, spoken directly.

Starting a Java tool takes seconds; these take milliseconds. Old, fixed request versions that every
broker from 2.x to 4.x understands. One request per connection.
"""

import socket
import struct

METADATA, OFFSET_FETCH, LIST_OFFSETS, CREATE_TOPICS, CREATE_PARTITIONS = 3, 9, 2, 19, 37
EARLIEST, LATEST = -2, -1


class KafkaError(Exception):
    """The broker's error code in an answer."""


def _string(text):
    data = text.encode()
    return struct.pack('>h', len(data)) + data


def _array(items):
    return struct.pack('>i', len(items)) + b''.join(items)


class _Reader:
    def __init__(self, data):
        self._data = data
        self._at = 0

    def take(self, form):
        values = struct.unpack_from('>' + form, self._data, self._at)
        self._at += struct.calcsize('>' + form)
        return values[0] if len(values) == 1 else values

    def string(self):
        length = self.take('h')
        if length < 0:
            return None
        self._at += length
        return self._data[self._at - length:self._at].decode()


def _ask(address, api, version, body):
    host, port = address.rsplit(':', 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = struct.pack('>hhi', api, version, 1) + _string('purgeline-tests')
        connection.sendall(struct.pack('>i', len(head + body)) + head + body)
        stream = connection.makefile('rb')
        size = stream.read(4)
        if len(size) < 4:
            raise OSError('the broker closed the connection')
        answer = stream.read(struct.unpack('>i', size)[0])
    return _Reader(answer[4:])


def _check(code, what):
    if code != 0:
        raise KafkaError(f'{what}: error code {code}')


def partitions(address, topic):
    """How many partitions have a leader; 0 when the topic does not exist. Never creates it."""
    body = _array([_string(topic)]) + b'\x00'
    answer = _ask(address, METADATA, 4, body)
    answer.take('i')
    for _ in range(answer.take('i')):
        answer.take('i'), answer.string(), answer.take('i'), answer.string()
    answer.string(), answer.take('i')
    led = 0
    for _ in range(answer.take('i')):
        answer.take('h'), answer.string(), answer.take('b')
        for _ in range(answer.take('i')):
            code, _, leader = answer.take('hii')
            for _ in range(2):
                for _ in range(answer.take('i')):
                    answer.take('i')
            led += code == 0 and leader >= 0
    return led


def create_topic(address, topic, count):
    one = _string(topic) + struct.pack('>ih', count, 1) + _array([]) + _array([])
    answer = _ask(address, CREATE_TOPICS, 2, _array([one]) + struct.pack('>ib', 10000, 0))
    answer.take('i'), answer.take('i'), answer.string()
    _check(answer.take('h'), f'create topic {topic}')


def add_partitions(address, topic, count):
    """Raises the number of partitions to `count`."""
    one = _string(topic) + struct.pack('>ii', count, -1)
    answer = _ask(address, CREATE_PARTITIONS, 0, _array([one]) + struct.pack('>ib', 10000, 0))
    answer.take('i'), answer.take('i'), answer.string()
    _check(answer.take('h'), f'add partitions to {topic}')


def offset(address, topic, partition=0, when=LATEST):
    """The offset of the next record (LATEST) or of the first one kept (EARLIEST)."""
    one = _string(topic) + _array([struct.pack('>iq', partition, when)])
    answer = _ask(address, LIST_OFFSETS, 1, struct.pack('>i', -1) + _array([one]))
    answer.take('i'), answer.string(), answer.take('i')
    _, code, _, found = answer.take('ihqq')
    _check(code, f'offset of {topic}[{partition}]')
    return found


def committed(address, group, topic, partition=0):
    """The group's committed offset, -1 when there is none."""
    one = _string(topic) + _array([struct.pack('>i', partition)])
    answer = _ask(address, OFFSET_FETCH, 1, _string(group) + _array([one]))
    answer.take('i'), answer.string(), answer.take('i')
    _, found = answer.take('iq')
    answer.string()
    code = answer.take('h')
    # The coordinator may still be loading just after the broker's start: no offset is known yet.
    if code in (14, 15, 16):
        return -1
    _check(code, f'offset of {group} in {topic}[{partition}]')
    return found
