"""The few Kafka requests that tests need and kcat lacks, spoken directly.

Starting a Java tool takes seconds; these take milliseconds. Old, fixed request versions that every
broker from 2.x to 4.x understands. One request per connection.
"""

import socket
import struct

PRODUCE, LIST_OFFSETS, METADATA, OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR = 0, 2, 3, 8, 9, 10
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, CREATE_PARTITIONS, DELETE_GROUPS = 19, 20, 21, 37, 42
EARLIEST, LATEST = -2, -1


# Topic or leader not there yet; coordinator loading, not there yet, or another one.
NOT_YET = (3, 5, 6, 14, 15, 16)


class KafkaError(Exception):
    """The broker's error code in an answer."""

    def __init__(self, what, code):
        super().__init__(f'{what}: error code {code}')
        self.code = code


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
        raise KafkaError(what, code)


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


def delete_topic(address, topic):
    answer = _ask(address, DELETE_TOPICS, 1, _array([_string(topic)]) + struct.pack('>i', 10000))
    answer.take('i'), answer.take('i'), answer.string()
    _check(answer.take('h'), f'delete topic {topic}')


def delete_records(address, topic, before, partition=0):
    """Everything below the offset `before` is gone, as after retention."""
    one = _string(topic) + _array([struct.pack('>iq', partition, before)])
    answer = _ask(address, DELETE_RECORDS, 0, _array([one]) + struct.pack('>i', 10000))
    answer.take('i'), answer.take('i'), answer.string(), answer.take('i')
    _, _, code = answer.take('iqh')
    _check(code, f'delete records of {topic}[{partition}]')


def delete_group(address, group):
    """The group and its positions are gone, as after they have expired."""
    answer = _ask(address, DELETE_GROUPS, 0, _array([_string(group)]))
    answer.take('i'), answer.take('i'), answer.string()
    _check(answer.take('h'), f'delete group {group}')


def find_coordinator(address, group):
    """Makes the broker create the topic that holds positions."""
    _ask(address, FIND_COORDINATOR, 0, _string(group))


def commit(address, group, topic, offset, metadata, partition=0):
    """Stores a position as a consumer without a membership does."""
    one = _string(topic) + _array([struct.pack('>iq', partition, offset) + _string(metadata)])
    answer = _ask(address, OFFSET_COMMIT, 2,
                  _string(group) + struct.pack('>i', -1) + _string('') + struct.pack('>q', -1)
                  + _array([one]))
    answer.take('i'), answer.string(), answer.take('i')
    _, code = answer.take('ih')
    _check(code, f'commit of {group} in {topic}[{partition}]')


def _varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def _crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def produce(address, topic, records, partition=0):
    """Writes (timestamp in ms, value) pairs in one batch. For few records: its CRC is slow."""
    first = records[0][0]
    body = b''
    for number, (when, value) in enumerate(records):
        data = value.encode()
        record = (b'\x00' + _varint(when - first) + _varint(number) + _varint(-1)
                  + _varint(len(data)) + data + _varint(0))
        body += _varint(len(record)) + record
    checked = struct.pack('>hiqqqhii', 0, len(records) - 1, first, max(w for w, _ in records), -1,
                          -1, -1, len(records)) + body
    batch = struct.pack('>iBI', -1, 2, _crc32c(checked)) + checked
    batch = struct.pack('>qi', 0, len(batch)) + batch
    one = _string(topic) + _array([struct.pack('>ii', partition, len(batch)) + batch])
    answer = _ask(address, PRODUCE, 3, struct.pack('>hhi', -1, -1, 10000) + _array([one]))
    answer.take('i'), answer.string(), answer.take('i')
    _, code = answer.take('ih')
    _check(code, f'produce to {topic}[{partition}]')


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
