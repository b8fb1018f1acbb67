#!/usr/bin/env python3
"""Mutations: does some test fail when a rule is taken out of the product?

Each *.patch beside this file breaks one rule of the shipped code; its first lines say which. In a
copy of the tree with a build directory of its own, one after the other is applied, the tests that
may see it are built and run until one fails, and it is taken out again. Exits 1 when a mutation
survives, no longer applies or does not compile.

One mistake that such a router can make has no patch: to resume a paused partition twice, or never.
Nothing here pauses or resumes. A reader takes as many events as the table has room for and leaves
the others where they are (Pipeline::read), so there is no state that could be wrong.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COPY = ROOT / 'build' / 'mutate'
TREE, BUILD = COPY / 'tree', COPY / 'build'

# Which unit tests see a folder of the product; the simulator sees all of them, and comes last
# because it takes longest.
UNIT = {
    'src/ack/': ['ack_test'],
    'src/app/': ['app_test', 'app_partitions_test', 'app_absence_test', 'app_catch_up_test',
                 'app_dead_letter_test', 'app_fences_test', 'app_order_test',
                 'app_peer_barrier_test', 'app_peers_test'],
    'src/coalesce/': ['coalesce_test', 'app_peers_test', 'app_rebound_test'],
    'src/control/': ['control_admin_test'],
    'src/decode/': ['decode_test'],
    'src/dispatch/': ['dispatch_http1_test', 'dispatch_test'],
    'src/sources/': ['sources_start_position_test'],
}
SIMULATOR = ['sim_test', 'metrics_seen_test']
# A mutation may make a loop endless; no test here takes half as long without one.
TIME_LIMIT = 240


class Mutation:
    """One patch: its name, the rule it breaks, and the files it changes."""

    def __init__(self, path):
        self.path, self.name = path, path.stem
        text = path.read_text()
        found = re.match(r'Breaks: (.+(?:\n .+)*)', text)
        if not found:
            sys.exit(f'{path}: the first line has to be "Breaks: " and the rule')
        self.breaks = ' '.join(found.group(1).split())
        self.files = re.findall(r'^\+\+\+ b/(\S+)', text, re.M)
        if not self.files or any(not name.startswith('src/') for name in self.files):
            sys.exit(f'{path}: changes {self.files}; it has to change files under src/')

    def patch(self, tree, *options):
        command = ['patch', '-p1', '-F2', '--no-backup-if-mismatch', '--reject-file=-', '--batch',
                   *options, '-i', str(self.path)]
        return subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)

    def applies(self, tree):
        done = self.patch(tree, '--forward', '--dry-run')
        return '' if done.returncode == 0 else done.stdout.strip()

    def programs(self, which):
        unit = [program for folder, names in UNIT.items() for program in names
                if any(name.startswith(folder) for name in self.files)]
        if which == 'unit':
            return unit
        return SIMULATOR if which == 'sim' else unit + SIMULATOR


def mutations(names):
    known = {path.stem: path for path in sorted(HERE.glob('*.patch'))}
    for name in names:
        if name not in known:
            sys.exit(f'there is no mutation "{name}"; --list names them')
    return [Mutation(path) for name, path in known.items() if not names or name in names]


def copy_file(source, target):
    """Only when it differs, so that the build does again what changed and nothing else."""
    if target.exists() and target.read_bytes() == source.read_bytes():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


def git(*arguments):
    """What it says; None where this is no repository of ours."""
    done = subprocess.run(['git', *arguments], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return done.stdout.decode() if done.returncode == 0 else None


def tree_files():
    listed = git('ls-files', '-z', '-co', '--exclude-standard')
    if listed is not None:
        return {name for name in listed.split('\0') if name and (ROOT / name).is_file()}
    files = (path.relative_to(ROOT) for path in ROOT.rglob('*') if path.is_file())
    return {path.as_posix() for path in files if path.parts[0] not in ('.git', 'build')}


def make_copy():
    wanted = tree_files()
    TREE.mkdir(parents=True, exist_ok=True)
    for path in [path for path in TREE.rglob('*') if path.is_file()]:
        if path.relative_to(TREE).as_posix() not in wanted:
            path.unlink()
    for name in wanted:
        copy_file(ROOT / name, TREE / name)


def configure():
    """As the dev preset, without debug information: what is linked often should be small."""
    # With these a compiler cache finds what it compiled for the tree itself, or for a mutation.
    os.environ.update(CCACHE_BASEDIR=str(COPY), CCACHE_NOHASHDIR='1')
    subprocess.run(
        ['cmake', '-S', str(TREE), '-B', str(BUILD), '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Debug',
         '-DCMAKE_CXX_COMPILER=g++', '-DCMAKE_CXX_FLAGS_DEBUG=-O1', '-DPURGELINE_BENCH=OFF'],
        stdout=subprocess.PIPE, check=True)


def build(program):
    """What the compiler said, or empty when it is built."""
    jobs = os.environ.get('PURGELINE_JOBS', str(os.cpu_count() or 1))
    done = subprocess.run(['cmake', '--build', str(BUILD), '--parallel', jobs, '--target', program],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return '' if done.returncode == 0 else done.stdout


def find_program(program):
    return next(path for path in BUILD.rglob(program)
                if path.is_file() and os.access(path, os.X_OK))


def run(program):
    """Empty when all tests passed, or the first one that did not, with the seed if it has one."""
    command = [str(find_program(program)), '--gtest_fail_fast', '--gtest_brief=0']
    try:
        done = subprocess.run(command, cwd=BUILD, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, timeout=TIME_LIMIT)
        code, output = done.returncode, done.stdout.decode(errors='replace')
    except subprocess.TimeoutExpired as late:
        code, output = 'no end', (late.stdout or b'').decode(errors='replace')
    if code == 0:
        return ''
    failed = re.findall(r'^\[  FAILED  \] ([\w/]+\.[\w/]+)', output, re.M)
    begun = re.findall(r'^\[ RUN      \] (\S+)', output, re.M)
    where = failed[0] if failed else begun[-1] if begun else program
    seed = re.search(r'\bseed (\d+)', output)
    how = {'no end': ' (does not end)', -6: ' (aborts)'}.get(code, '')
    return f'{program}: {where}{" seed " + seed.group(1) if seed else ""}{how}'


def attempt(mutation, which):
    """(verdict, what caught it): caught, SURVIVED, STALE or BROKEN."""
    trouble = mutation.applies(TREE)
    if trouble:
        return 'STALE', trouble
    sound = {name: (TREE / name).read_bytes() for name in mutation.files}
    try:
        mutation.patch(TREE, '--forward')
        for program in mutation.programs(which):
            said = build(program)
            if said:
                return 'BROKEN', said[-2000:]
            caught = run(program)
            if caught:
                return 'caught', caught
        return 'SURVIVED', ''
    finally:
        for name, text in sound.items():
            (TREE / name).write_bytes(text)


def check_baseline(chosen, which):
    """Without a mutation everything passes; otherwise being caught would mean nothing."""
    programs = {program: None for mutation in chosen for program in mutation.programs(which)}
    for program in programs:
        said = build(program)
        if said:
            sys.exit(f'the tree itself does not build:\n{said[-4000:]}')
        caught = run(program)
        if caught:
            sys.exit(f'without any mutation this fails already: {caught}')


def begin_elsewhere(chosen):
    """From another one for each commit, so that runs which are cut short see all in the end."""
    first = int(git('rev-parse', 'HEAD') or '0', 16) % len(chosen)
    return chosen[first:] + chosen[:first]


def only_check(chosen):
    stale = [(mutation.name, mutation.applies(ROOT)) for mutation in chosen]
    for name, trouble in stale:
        if trouble:
            print(f'{name} no longer applies:\n{trouble}')
    print(f'{len(chosen)} mutations, {sum(bool(trouble) for _, trouble in stale)} stale')
    return any(trouble for _, trouble in stale)


def main():
    parser = argparse.ArgumentParser(prog='./dev mutate', description=__doc__.split('\n\n')[0])
    parser.add_argument('name', nargs='*', help='only these mutations')
    parser.add_argument('--list', action='store_true', help='print each mutation and its rule')
    parser.add_argument('--check', action='store_true', help='only see whether each one applies')
    parser.add_argument('--only', choices=['unit', 'sim'],
                        help='run only unit tests, or only the simulator')
    parser.add_argument('--minutes', type=float, default=float('inf'), metavar='N',
                        help='begin none N minutes after the build; which is first depends on the '
                        'commit')
    options = parser.parse_args()
    chosen = mutations(options.name)
    if options.minutes < float('inf'):
        chosen = begin_elsewhere(chosen)
    if options.list:
        for mutation in chosen:
            print(f'{mutation.name:32} {mutation.breaks}')
        return 0
    if options.check:
        return only_check(chosen)
    begun = time.monotonic()
    make_copy()
    configure()
    check_baseline(chosen, options.only)
    ready = time.monotonic()
    print(f'without a mutation everything passes ({ready - begun:.0f} s)', flush=True)
    bad = tried = 0
    for mutation in chosen:
        since = time.monotonic()
        if since - ready > 60 * options.minutes:
            break
        tried += 1
        verdict, what = attempt(mutation, options.only)
        bad += verdict != 'caught'
        took = time.monotonic() - since
        print(f'{mutation.name:32} {verdict:8} {took:5.0f} s  {what}', flush=True)
    print(f'{len(chosen)} mutations, {tried} tried, {bad} not caught, '
          f'{time.monotonic() - begun:.0f} s')
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())
