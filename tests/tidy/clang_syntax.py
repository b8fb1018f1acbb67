#!/usr/bin/env python3
"""Lets clang 14 read every C++ source that the build compiles. Usage: clang_syntax.py BUILD_FOLDER

Warnings are errors. A source is read again only when it or a header it includes has changed.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLANG = 'clang++-14'
# Sign conversions g++ does not count as conversions; the others are options of g++ alone.
OPTIONS = ['-fsyntax-only', '-Wno-sign-conversion', '-Wno-unknown-warning-option',
           '-Wno-unused-command-line-argument']
KEPT = re.compile(r'-(?:[IDUWf]|isystem|std=|pedantic)')
DROPPED = re.compile(
    r'-(?:fcf-protection|fstack-clash-protection|fsanitize|fno-sanitize|D_FORTIFY)')


def arguments(entry):
    """The command's include paths, definitions and warnings, and its source file."""
    words = shlex.split(entry['command'])
    kept = []
    for word, following in zip(words, words[1:] + ['']):
        if KEPT.match(word) and not DROPPED.match(word):
            kept += [word, following] if word in ('-isystem', '-I', '-D') else [word]
    return kept


def up_to_date(stamp):
    try:
        made = stamp.stat().st_mtime
        inputs = re.sub(r'\\\n', ' ', stamp.read_text()).split(':', 1)[1].split()
        return all(os.stat(name).st_mtime < made for name in inputs)
    except (OSError, IndexError):
        return False


def check(entry, folder):
    stamp = folder / (re.sub(r'\W', '_', entry['file']) + '.d')
    if up_to_date(stamp):
        return None
    stamp.unlink(missing_ok=True)
    fresh = stamp.with_suffix('.new')
    done = subprocess.run(
        [CLANG, *arguments(entry), *OPTIONS, '-MD', '-MF', str(fresh), entry['file']],
        cwd=entry['directory'], capture_output=True, text=True)
    if done.returncode != 0:
        fresh.unlink(missing_ok=True)
        return f'{entry["file"]}:\n{done.stderr}'
    # Written anew: the stamp must be younger than what was read.
    stamp.write_text(fresh.read_text())
    fresh.unlink()
    return None


def main():
    build = Path(sys.argv[1]).resolve()
    commands = json.loads((build / 'compile_commands.json').read_text())
    entries = {entry['file']: entry for entry in commands if entry['file'].endswith('.cc')}
    folder = build / 'clang-syntax'
    folder.mkdir(exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [text for text in pool.map(lambda entry: check(entry, folder), entries.values())
                    if text]
    print('\n'.join(failures))
    print(f'{len(entries)} sources, {len(failures)} that clang 14 refuses')
    sys.exit(1 if failures or not entries else 0)


if __name__ == '__main__':
    main()
