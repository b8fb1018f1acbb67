"""Purges one page from two real caches by one event in a real Kafka: `./dev demo --kafka`."""

import time

from harness import (Kafka, Origin, Purgeline, ServerFailed, TrafficServer, Varnish, http_client,
                     purge_event, start_all, wait_for)
from demo_steps import DENIED, show_purges, step

HOST = 'en.example.org'
PAGE = '/wiki/Main_Page'
TOPIC = 'eqiad.resource-purge'


def show(who, answer):
    """A cache's answer: hit or miss and age as its headers say, and the body."""
    verdict = answer.headers.get('x-cache-frontend' if who == 'Varnish' else 'x-cache', '?')
    age = answer.headers.get('age', '?')
    print(f'   {who:<15} {answer.status} {verdict:<9} Age: {age:<3} {answer.body.strip()}')


def show_done(daemon, kafka):
    done = daemon.metric('purgeline_end_to_end_seconds_count')
    if done:
        seconds = daemon.metric('purgeline_end_to_end_seconds_sum') / done
        print(f'   {"both layers":<15} {1000 * seconds:.1f} ms after the event was made')
    committed = kafka.committed(daemon.group, TOPIC)
    print(f'   {"Kafka":<15} committed offset {committed if committed >= 0 else "none"}')


def run(deny_purge):
    origin = Origin()
    backend = TrafficServer(origin.address)
    frontend = Varnish(backend.address)
    kafka = Kafka()

    step(1, 'Servers start on free ports of this machine')
    began = time.monotonic()
    frontend.deny_purge(deny_purge)
    start_all(backend, frontend, kafka)
    kafka.create_topic(TOPIC)
    daemon = Purgeline(kafka, [TOPIC], [('backend', [backend.address]),
                                        ('frontend', [frontend.unix_address])]).launch()
    for server in (backend, frontend, kafka):
        print(f'   {server.name:<15} {server.version():<10} {server.address}')
    if deny_purge:
        # It may say that it is not ready, and be right.
        wait_for(lambda: http_client.answers(daemon.admin) or not daemon.running(), 60,
                 'purgeline runs')
    else:
        daemon.wait_ready()
    print(f'   {"purgeline":<15} {daemon.version():<10} {daemon.admin}'
          f'   (all up after {time.monotonic() - began:.1f} s)')

    step(2, f'A visitor fetches http://{HOST}{PAGE}; both layers keep it')
    frontend.get(HOST, PAGE)
    wait_for(lambda: backend.cached(HOST, PAGE), 10, 'Traffic Server stored the page')
    show('Varnish', frontend.get(HOST, PAGE))
    show('Traffic Server', backend.get(HOST, PAGE))

    version = origin.bump()
    step(3, f'The page changes: the origin has version {version}, the caches do not know')
    show('Varnish', frontend.get(HOST, PAGE))
    show('Traffic Server', backend.get(HOST, PAGE))

    step(4, 'The change is published as an event')
    offset = kafka.end_offset(TOPIC)
    before = daemon.metrics()
    kafka.produce(TOPIC, [purge_event(f'https://{HOST}{PAGE}')])
    print(f'   {TOPIC}[0], offset {offset}; the log ends at {kafka.end_offset(TOPIC)}')

    step(5, 'Purgeline purges backend, then frontend')

    def settled():
        if not daemon.running():
            raise ServerFailed(f'purgeline ended with {daemon.process.returncode}')
        if kafka.committed(daemon.group, TOPIC) > offset:
            return True
        purged = {'layer': 'backend', 'outcome': 'purged'}
        return (daemon.metric('purgeline_target_state', layer='frontend') == DENIED
                and daemon.metric('purgeline_purges_total', **purged) > 0)
    wait_for(settled, 60, 'the event is committed, or a cache is known to deny purges')
    show_purges(daemon, before, ('backend', 'frontend'))
    show_done(daemon, kafka)
    if daemon.metric('purgeline_target_state', layer='frontend') == DENIED:
        print(f'   {"frontend":<15} denies every purge')

    step(6, 'The next visitor')
    last = frontend.get(HOST, PAGE)
    fresh = f'version {version}' in last.body
    show('Varnish', last)
    return fresh, {'Varnish': frontend.address, 'Traffic Server': backend.address,
                   'Kafka': kafka.address, 'Purgeline': daemon.admin}
