"""One Kafka broker (KRaft, broker and controller in one); kcat is its producer and consumer."""

import functools
import json
import os
import re
import subprocess
import uuid
from datetime import datetime, timezone
from pathlib import Path

from . import kafka_wire
from .process import Server, ServerFailed, free_port, wait_for

PROPERTIES = '''\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{secure_listener}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{secure_listener}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
controlled.shutdown.enable=false
# A restarted broker may register only when its former self has timed out.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
queued.max.requests=64
'''

SECURE_PROPERTIES = '''\
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={pem}
listener.name.sasl_ssl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
'''


def home():
    """The folder of Kafka's jars, as ./dev setup leaves it."""
    cache = os.environ.get('PURGELINE_CACHE') or Path.home() / '.cache' / 'purgeline'
    folder = os.environ.get('PURGELINE_KAFKA_HOME')
    if not folder:
        folder = max(map(str, Path(cache).glob('kafka-[0-9]*')), default='')
    if not folder or not list(Path(folder).glob('kafka_*.jar')):
        raise ServerFailed('Apache Kafka is not installed: run ./dev setup')
    return Path(folder)


class Kafka(Server):
    """Keeps its data folder and port over stop() and start()."""

    name = 'kafka'
    stop_timeout = 30

    def __init__(self, tls=None):
        """`tls`: a Certificates; there is a listener SASL_SSL at `secure_address` then."""
        super().__init__()
        self.port = free_port()
        self.address = f'127.0.0.1:{self.port}'
        self.secure_address = f'127.0.0.1:{free_port()}' if tls else None
        self._tls = tls
        self.cluster = self._id()
        data = self.folder / 'data'
        data.mkdir()
        # What the storage tool would write when it formats the folder, without waiting for a JVM.
        (data / 'meta.properties').write_text(
            f'version=1\ncluster.id={self.cluster}\nnode.id=1\ndirectory.id={self._id()}\n')
        self._controller_port = free_port()
        self.write_properties()

    def write_properties(self, password=None):
        """Counts from the next start. `password`: another one than the certificates name."""
        secure_listener = secure = ''
        if self._tls:
            secure_listener = f',SASL_SSL://{self.secure_address}'
            secure = SECURE_PROPERTIES.format(pem=self._tls.server, user=self._tls.USER,
                                              password=password or self._tls.PASSWORD)
        (self.folder / 'server.properties').write_text(PROPERTIES.format(
            folder=self.folder, port=self.port, controller_port=self._controller_port,
            secure_listener=secure_listener) + secure)

    @staticmethod
    def _id():
        # 22 characters, as Kafka's own ids; they must not begin with a dash.
        return 'p' + uuid.uuid4().hex[:21]

    def command(self):
        return ['java', '-Xmx256m', '-Xms64m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
                '-XX:-UsePerfData', '-Xshare:auto',
                '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Dlog4j2.disable.jmx=true',
                f'-Djava.io.tmpdir={self.folder}',
                '-cp', f'{home()}/*', 'kafka.Kafka', self.folder / 'server.properties']

    def ready(self):
        try:
            kafka_wire.partitions(self.address, 'readiness')
            return True
        except (OSError, kafka_wire.KafkaError):
            return False

    @staticmethod
    @functools.lru_cache
    def version():
        jar = next(home().glob('kafka-server-[0-9]*.jar'))
        return re.search(r'kafka-server-([\d.]+)\.jar', jar.name).group(1)

    def create_topic(self, topic, partitions=1):
        """Returns once every partition has a leader."""
        kafka_wire.create_topic(self.address, topic, partitions)
        self._wait_for_leaders(topic, partitions)

    def add_partitions(self, topic, partitions):
        kafka_wire.add_partitions(self.address, topic, partitions)
        self._wait_for_leaders(topic, partitions)

    def _wait_for_leaders(self, topic, count):
        wait_for(lambda: kafka_wire.partitions(self.address, topic) == count, 20,
                 f'{topic} has {count} partitions with leaders')

    def produce(self, topic, values, partition=0):
        """Writes the values, one record each, in order; returns when the broker has all of them."""
        text = ''.join(f'{value}\n' for value in values)
        done = subprocess.run(
            ['kcat', '-P', '-b', self.address, '-t', topic, '-p', str(partition), '-E',
             '-X', 'linger.ms=5', '-X', 'acks=all'],
            input=text, text=True, capture_output=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f'kcat could not write to {topic}: {done.stderr}')

    def produce_at(self, topic, records, partition=0):
        """Writes (datetime, value) pairs: the log's timestamps are these."""
        stamped = [(int(when.timestamp() * 1000), value) for when, value in records]
        self.retry(lambda: kafka_wire.produce(self.address, topic, stamped, partition))

    @staticmethod
    def retry(ask):
        """A broker that has just made a topic, or has no positions yet, asks for some patience."""
        def done():
            try:
                ask()
                return True
            except kafka_wire.KafkaError as error:
                if error.code not in kafka_wire.NOT_YET:
                    raise
                return False
        wait_for(done, 20, 'the broker takes it')

    def delete_topic(self, topic):
        kafka_wire.delete_topic(self.address, topic)
        wait_for(lambda: kafka_wire.partitions(self.address, topic) == 0, 20, f'{topic} is gone')

    def delete_records(self, topic, before, partition=0):
        """What retention does to everything below the offset `before`."""
        kafka_wire.delete_records(self.address, topic, before, partition)

    def forget(self, group):
        """What happens to a group's positions that expire."""
        kafka_wire.find_coordinator(self.address, group)
        self.retry(lambda: kafka_wire.delete_group(self.address, group))

    def commit(self, group, topic, offset, when, cluster, partition=0):
        """Stores a position as the program does."""
        metadata = f'v1 {int(when.timestamp() * 1000)} {cluster}'
        kafka_wire.find_coordinator(self.address, group)
        self.retry(lambda: kafka_wire.commit(self.address, group, topic, offset, metadata,
                                              partition))

    def consume(self, topic, count):
        """The first `count` values of a topic, by kcat."""
        done = subprocess.run(
            ['kcat', '-C', '-q', '-b', self.address, '-t', topic, '-o', 'beginning',
             '-c', str(count)],
            stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f'kcat could not read {topic}: {done.stderr}')
        return done.stdout.splitlines()

    def end_offset(self, topic, partition=0):
        return kafka_wire.offset(self.address, topic, partition)

    def committed(self, group, topic, partition=0):
        return kafka_wire.committed(self.address, group, topic, partition)


class NoBroker:
    """An address where no broker is, in Kafka's place for a daemon that needs none."""

    def __init__(self):
        self.address = f'127.0.0.1:{free_port()}'


def purge_event(uri, when=None, **more):
    """A resource_change event as MediaWiki's EventBus writes it."""
    when = when or datetime.now(timezone.utc)
    meta = {'uri': uri, 'request_id': str(uuid.uuid4()), 'id': str(uuid.uuid4()),
            'dt': when.strftime('%Y-%m-%dT%H:%M:%S.') + f'{when.microsecond // 1000:03d}Z',
            'domain': uri.split('/')[2], 'stream': 'resource-purge'}
    event = {'$schema': '/resource_change/1.0.0', 'meta': meta, 'tags': ['mediawiki'], **more}
    return json.dumps(event, separators=(',', ':'))
