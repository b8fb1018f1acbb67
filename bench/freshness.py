#!/usr/bin/env python3
"""How long readers get old pages after an edit, by the way in which caches are purged.

Real Traffic Server behind real Varnish, before an origin that is slow and shows edits late. Pages
are edited and read, and each answer is compared with the edits that were made before it was asked
for. Prints a table; it and a plot are left in build/bench/freshness.txt and .svg.

The run is void (status 1) when plain purges leave no old page behind: then nothing was in flight
when it mattered, and the other figures mean nothing.
"""

import argparse
import datetime
import math
import os
import platform
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'e2e'))

from harness import Purgeline, TrafficServer, Varnish, free_port, start_all

# What the origin does and what the fence is told, in ms: a third more than a fetch takes, and
# plenty for a hit, because the machine has other things to do. The defaults are ten times as long,
# and so would be every other time here.
LAG, SLOWEST, FETCH, HIT = 100, 750, 1000, 250
FENCE = {'origin_lag': f'{LAG}ms', 'fetch_time': f'{FETCH}ms', 'hit_time': f'{HIT}ms'}
# Until when an edit has to be seen at the frontend: the fences, the grid that they are rounded to,
# the window of the purges, and what the purges and a busy machine take.
WINDOW, ALLOWANCE = 100, 300
BOUND = LAG + FETCH + (LAG + FETCH) // 16 + HIT + WINDOW + ALLOWANCE
RELAY_DELAY = 1000  # ms between backend and frontend, as sites have it today
PAGES = 5000
UP = 1  # purgeline_target_state

# name: what is given on the command line. delay: of the relay. fence: of Purgeline, else None.
Way = namedtuple('Way', 'name label colour delay fence')
WAYS = (
    Way('plain', 'plain purge', '#c0392b', 0, None),
    Way('delayed', f'plain purge, frontend {RELAY_DELAY / 1000:g} s later', '#e67e22',
        RELAY_DELAY, None),
    Way('unfenced', 'Purgeline, fence: off', '#2980b9', None, 'off'),
    Way('fenced', 'Purgeline with the fence', '#27ae60', None, FENCE),
)


class Result:
    """What one way gave: the client's counts, the purges, and the times to fresh."""

    def __init__(self, way, text):
        self.way = way
        self.counts = {}
        self.times = []  # (ms, edits), ascending
        for line in text.splitlines():
            name, *values = line.split()
            if name == 'fresh_after_ms':
                self.times.append((int(values[0]), int(values[1])))
            else:
                self.counts[name] = float(values[0])

    def __getitem__(self, name):
        return self.counts[name]

    def per_million(self, part, whole):
        return 1e6 * self[part] / max(self[whole], 1)

    def percentile(self, share):
        left = share * self['edits']
        for ms, edits in self.times:
            left -= edits
            if left <= 0:
                return ms
        return self.times[-1][0]


def run_way(way, options):
    origin = f'127.0.0.1:{free_port()}'
    backend = TrafficServer(origin)
    frontend = Varnish(backend.address)
    servers = [backend, frontend]
    arguments = {
        'origin': origin, 'frontend': frontend.address, 'backend': backend.address,
        'pages': PAGES, 'edits': options.edits // len(options.ways),
        'edits_per_second': options.rate, 'random_reads_per_second': options.rate,
        'lag_ms': LAG, 'fetch_ms': SLOWEST, 'bound_ms': BOUND, 'delay_ms': way.delay or 0}
    daemon = None
    if way.fence is not None:
        intake = f'127.0.0.1:{free_port()}'
        arguments['intake'] = intake
        daemon = Purgeline(None, [], [('backend', [backend.address]),
                                      ('frontend', [frontend.unix_address])],
                           {'intake': {'http': {'listen': [intake]}},
                            'purge': {'fence': way.fence}})
        servers.append(daemon)
    try:
        start_all(backend, frontend)
        if daemon is not None:
            daemon.start()
            for layer in ('backend', 'frontend'):
                daemon.wait_metric('purgeline_target_state', UP, layer=layer)
        done = subprocess.run(
            [options.client, *(f'{name}={value}' for name, value in arguments.items())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f'freshness: the client ended with {done.returncode}')
        result = Result(way, done.stdout)
        if daemon is not None:
            result.counts['purges'] = daemon.metric('purgeline_purges_total')
            result.counts['slow_purges'] = (
                daemon.metric('purgeline_attempt_seconds_count') -
                daemon.metric('purgeline_attempt_seconds_bucket', le='0.25'))
        return result
    finally:
        for server in servers:
            server.cleanup()


# ---- what is shown ------------------------------------------------------------------------------

COLUMNS = (
    # heading, width, what it shows of a result
    ('edits', 8, lambda r: f'{r["edits"]:.0f}'),
    ('edits/s', 8, lambda r: f'{r["edits"] / r["seconds"]:.0f}'),
    ('in flight', 10, lambda r: f'{r["edits_in_fetch"]:.0f}'),
    ('old fetches', 12, lambda r: f'{r["old_fetches"]:.0f}'),
    ('reads', 10, lambda r: f'{r["reads"]:.0f}'),
    ('late/M reads', 13, lambda r: f'{r.per_million("late_reads", "reads"):.0f}'),
    ('late/M edits', 13, lambda r: f'{r.per_million("late_edits", "edits"):.0f}'),
    ('p50 ms', 8, lambda r: f'{r.percentile(0.5)}'),
    ('p99 ms', 8, lambda r: f'{r.percentile(0.99)}'),
    ('p99.9 ms', 9, lambda r: f'{r.percentile(0.999)}'),
    ('max ms', 8, lambda r: f'{r.times[-1][0]}'),
    ('purges/edit', 12, lambda r: f'{r["purges"] / r["edits"]:.2f}'),
)

LEGEND = f'''\
in flight    edits whose page was being fetched from the origin when its purge was asked for
old fetches  answers of the origin that were out of date when they were given: what a purge that
             was done before cannot remove
late         reads that got a page without an edit made more than {BOUND} ms before, and edits that
             such a read missed
p50..max     ms from an edit to the last read that did not get it
purges/edit  of both layers together
'''


def machine():
    model = next((line.split(':', 1)[1].strip() for line in open('/proc/cpuinfo')
                  if line.startswith('model name')), platform.machine())
    when = datetime.datetime.now(datetime.timezone.utc)
    return (f'date     {when:%Y-%m-%dT%H:%M:%SZ}\n'
            f'machine  {os.cpu_count()} x {model}, Linux {platform.release()}, '
            f'load {os.getloadavg()[0]:.2f}\n'
            f'command  ./dev bench freshness {" ".join(sys.argv[1:])}\n')


def setting():
    return (f'{PAGES} pages; the origin shows an edit up to {LAG} ms late and takes up to '
            f'{SLOWEST} ms to answer.\n'
            'An edit is read 12 times in the 4 s after it; every fifth is followed by another one '
            f'of its page\nwithin {SLOWEST} ms. Fence: {LAG}, {FETCH} and {HIT} ms.\n')


def table(results):
    lines = [' ' * 34 + ''.join(f'{heading:>{width}}' for heading, width, _ in COLUMNS)]
    for result in results:
        lines.append(f'{result.way.label:<34}' +
                     ''.join(f'{show(result):>{width}}' for _, width, show in COLUMNS))
    return '\n'.join(lines) + '\n'


def remarks(results):
    """What has to be known about the figures; the first list makes them worth nothing."""
    void, notes = [], []
    by_name = {result.way.name: result for result in results}
    for result in results:
        if result['failed_reads'] > result['reads'] / 1000:
            void.append(f'{result.way.label}: {result["failed_reads"]:.0f} reads failed')
        if result['reads'] < 0.99 * result['asked_reads']:
            void.append(f'{result.way.label}: only {result["reads"]:.0f} of '
                        f'{result["asked_reads"]:.0f} reads were answered')
        if result['failed_purges'] > 0:
            void.append(f'{result.way.label}: {result["failed_purges"]:.0f} purges failed')
        if result['longest_fetch_ms'] > FETCH:
            notes.append(f'{result.way.label}: a fetch lasted {result["longest_fetch_ms"]:.0f} ms, '
                         f'more than the fence was told; the machine is too busy')
        if result['longest_purge_ms'] > ALLOWANCE:
            notes.append(f'{result.way.label}: a purge took {result["longest_purge_ms"]:.0f} ms; '
                         'the machine is too busy')
        if result.counts.get('slow_purges', 0) > 0:
            notes.append(f'{result.way.label}: {result["slow_purges"]:.0f} purges took more than '
                         '250 ms to be answered; the machine is too busy')
    if 'plain' in by_name and by_name['plain']['late_reads'] == 0:
        void.append('plain purges left no old page behind: nothing was in flight when it mattered')
    if 'fenced' in by_name and 'unfenced' in by_name:
        cost = [by_name[name]['purges'] / by_name[name]['edits'] for name in ('fenced', 'unfenced')]
        notes.append(f'The fence costs {cost[0] / cost[1]:.2f} times the purges.')
    return void, notes


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 820, 440, 70, 20, 35, 50
SECONDS = 5  # of the plot
DECADES = 5  # from all edits down to one in 10^5


def x_of(ms):
    return LEFT + (WIDTH - LEFT - RIGHT) * ms / (1000 * SECONDS)


def y_of(share):
    exponent = min(-math.log10(share), DECADES) if share > 0 else DECADES
    return TOP + (HEIGHT - TOP - BOTTOM) * exponent / DECADES


def text(x, y, what, anchor='start', more=''):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{what}</text>'


def axes():
    bottom, right = y_of(0), x_of(1000 * SECONDS)
    yield text(LEFT, 20, 'Edits that some reader did not get yet', more=' font-size="14"')
    for decade in range(DECADES + 1):
        y = y_of(10 ** -decade)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield text(LEFT - 6, y + 4, f'{100 * 10 ** -decade:g} %', 'end')
    for second in range(SECONDS + 1):
        yield text(x_of(1000 * second), bottom + 16, f'{second} s', 'middle')
    yield text((LEFT + right) / 2, bottom + 36, 'after the edit', 'middle')
    bound = x_of(BOUND)
    yield (f'<line x1="{bound:.1f}" y1="{TOP}" x2="{bound:.1f}" y2="{bottom}" stroke="#888" '
           'stroke-dasharray="4 3"/>')
    yield text(bound + 4, bottom - 6, f'bound of the fence: {BOUND} ms')


def curve(result):
    """Steps: the share holds until the next time at which an edit was seen for good."""
    left = result['edits'] - sum(edits for ms, edits in result.times if ms == 0)
    path = f'M{x_of(0):.1f} {y_of(left / result["edits"]):.1f}'
    for ms, edits in result.times:
        if 0 < ms <= 1000 * SECONDS:
            left -= edits
            path += f'H{x_of(ms):.1f}V{y_of(left / result["edits"]):.1f}'
    path += f'H{x_of(1000 * SECONDS):.1f}'
    return f'<path d="{path}" fill="none" stroke="{result.way.colour}" stroke-width="2"/>'


def plot(results):
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *axes()]
    for number, result in enumerate(results):
        parts.append(curve(result))
        y = y_of(0.005) + 18 * number  # below what a plain purge leaves
        parts.append(f'<rect x="{WIDTH - 270}" y="{y - 9}" width="18" height="8" '
                     f'fill="{result.way.colour}"/>')
        parts.append(text(WIDTH - 244, y, result.way.label))
    return '\n'.join([*parts, '</svg>', ''])


def arguments():
    parser = argparse.ArgumentParser(prog='./dev bench freshness',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('--edits', type=int, default=100_000,
                        help='of all ways together (%(default)s)')
    parser.add_argument('--rate', type=int, default=500, help='edits a second (%(default)s)')
    parser.add_argument('--ways', nargs='+', choices=[way.name for way in WAYS],
                        default=[way.name for way in WAYS], metavar='WAY',
                        help='some of: %(choices)s')
    parser.add_argument('--client', default=ROOT / 'build/release/bench/freshness_bench',
                        help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = arguments()
    os.environ.setdefault('PURGELINE_BINARY', str(ROOT / 'build/release/purgeline'))
    head = machine()
    print(f'{head}\n{setting()}', flush=True)
    results = []
    for way in WAYS:
        if way.name in options.ways:
            results.append(run_way(way, options))
            print(f'{way.label}: done, {results[-1]["seconds"]:.0f} s of edits', flush=True)
    void, notes = remarks(results)
    report = '\n'.join([table(results), LEGEND, *notes, *(f'VOID: {why}' for why in void)])
    print(f'\n{report}')
    folder = ROOT / 'build' / 'bench'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'freshness.txt').write_text(f'{head}\n{setting()}\n{report}\n')
    (folder / 'freshness.svg').write_text(plot(results))
    sys.exit(1 if void else 0)


if __name__ == '__main__':
    main()
