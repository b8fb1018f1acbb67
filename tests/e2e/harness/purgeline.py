"""The daemon under test: its configuration file, its process, its admin endpoint."""

import functools
import json
import os
import re
import subprocess
from pathlib import Path

from . import http_client
from .process import Server, ServerFailed, free_port, wait_for


def binary():
    """The program under test, named by PURGELINE_BINARY."""
    path = os.environ.get('PURGELINE_BINARY', '')
    if not os.access(path, os.X_OK):
        raise ServerFailed(f'PURGELINE_BINARY names no program: {path!r}')
    return path


def to_yaml(value, indent=0):
    """Block YAML for dicts, flow style for the rest (JSON scalars are YAML scalars)."""
    lines = []
    for key, entry in value.items():
        pad = ' ' * indent
        if isinstance(entry, dict) and entry:
            lines += [f'{pad}{key}:', to_yaml(entry, indent + 2)]
        elif isinstance(entry, list) and entry and isinstance(entry[0], dict):
            lines.append(f'{pad}{key}:')
            lines += [f'{pad}  - {json.dumps(one)}' for one in entry]
        else:
            lines.append(f'{pad}{key}: {json.dumps(entry)}')
    return '\n'.join(lines)


def merge(base, changes):
    """`base` with the nested `changes` put over it."""
    merged = dict(base)
    for key, entry in changes.items():
        both = isinstance(entry, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], entry) if both else entry
    return merged


class Purgeline(Server):
    """`layers` is a list of (name, [addresses]) in refill order; `changes` go over the whole file.

    Without a Kafka its log is the journal. Its group and its state folder stay the same over
    stop(), kill() and start().
    """

    name = 'purgeline'
    counted = False

    def __init__(self, kafka, topics, layers, changes=None):
        super().__init__()
        self.group = f'purgeline-{os.path.basename(self.folder)}'
        self.admin = f'127.0.0.1:{free_port()}'
        log = {'journal': {}} if kafka is None else {
            'kafka': {'brokers': [kafka.address], 'topics': topics, 'group': self.group,
                      'start_at': 'earliest'}}
        base = {
            'state_dir': f'{self.folder}/state',
            'log': log,
            # Fences purge once more after 11 s and hold back commits; who tests them turns them on.
            'purge': {'fence': 'off',
                      'layers': [{'name': name, 'targets': list(targets)}
                                 for name, targets in layers]},
            'admin': {'listen': self.admin},
        }
        self.config = self.folder / 'purgeline.yaml'
        self.config.write_text(to_yaml(merge(base, changes or {})) + '\n')
        (self.folder / 'state').mkdir()

    @classmethod
    def from_example(cls, path, places):
        """Runs a shipped file as it is, but for `places`: texts of the file and what stands there
        in this run. Its folder and admin address are put in without being named.
        """
        daemon = cls(None, [], [('none', [])])
        text = path.read_text()
        for place, own in {'/var/lib/purgeline': f'{daemon.folder}/state',
                           '127.0.0.1:2112': daemon.admin, **places}.items():
            assert place in text, f'{place} is not in {path}'
            text = text.replace(place, own)
        daemon.config.write_text(text)
        return daemon

    def command(self):
        return [binary(), 'run', '-c', self.config]

    def ready(self):
        try:
            return http_client.request(self.admin, 'GET', '/readyz', timeout=2).status == 200
        except OSError:
            return False

    @staticmethod
    @functools.lru_cache
    def version():
        return run_cli('--version').stdout.split()[1]

    def readiness(self):
        """What /readyz says: status and the checks' JSON as text."""
        return http_client.request(self.admin, 'GET', '/readyz')

    def metrics(self):
        """All samples of /metrics: {name: [(labels, value)]}."""
        samples = {}
        for line in http_client.request(self.admin, 'GET', '/metrics').body.splitlines():
            found = re.fullmatch(r'(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?', line)
            if found and not line.startswith('#'):
                labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found.group(2) or ''))
                samples.setdefault(found.group(1), []).append((labels, float(found.group(3))))
        return samples

    def metric(self, name, **labels):
        """The sum over all samples of that name with these labels; 0.0 when there is none."""
        return sum(value for have, value in self.metrics().get(name, [])
                   if all(have.get(key) == want for key, want in labels.items()))

    def wait_metric(self, name, at_least, timeout=60, **labels):
        what = f'{name}{labels or ""} reaches {at_least}'
        wait_for(lambda: self.metric(name, **labels) >= at_least, timeout, what, pause=0.1)

    def wait_committed(self, kafka, topic, partition=0, timeout=60):
        """Until everything that is in the partition now is committed."""
        end = kafka.end_offset(topic, partition)
        wait_for(lambda: kafka.committed(self.group, topic, partition) >= end, timeout,
                 f'{topic}[{partition}] is committed up to {end}', pause=0.1)


class OnSmallDisk(Purgeline):
    """Its state folder is a file system of its own."""

    size = '512k'

    def command(self):
        script = 'mount -t tmpfs -o size=$1 tmpfs "$0" && shift && exec "$@"'
        root = [] if os.geteuid() == 0 else ['--map-root-user']
        return ['unshare', '--mount', *root, 'sh', '-c', script, f'{self.folder}/state',
                self.size, *super().command()]

    def filler(self):
        """A file beside state.db, seen from outside the daemon's mounts."""
        return Path(f'/proc/{self.pid()}/root{self.folder}/state/filler')

    def fill_disk(self):
        with open(self.filler(), 'wb', buffering=0) as file:
            try:
                while file.write(b'\0' * 4096) == 4096:
                    pass
            except OSError:
                pass


def run_cli(*arguments, timeout=60):
    """Runs a subcommand to its end; the result has returncode, stdout and stderr."""
    return subprocess.run([binary(), *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout)
