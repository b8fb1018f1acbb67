#!/usr/bin/env python3
"""Which lines of each folder under src/ have run, by the counts of a build with --coverage.

usage: coverage.py BUILD_FOLDER

Prints a table and fails when a folder of LEAST is below its share.
"""

import json
import pathlib
import subprocess
import sys

LEAST = {'coalesce': 90.0, 'dispatch': 90.0, 'ack': 90.0, 'route': 90.0}


def count_lines(build):
    """{folder: {(file, line): has run}} over all objects: a header is in many of them."""
    root = pathlib.Path(__file__).resolve().parents[2]
    source = root / 'src'
    lines = {}
    # What no object has counted never ran, so notes are enough where counts are missing.
    for notes in sorted(build.glob('src/**/*.gcno')):
        answer = subprocess.run(['gcov', '--json-format', '--stdout', str(notes.resolve())],
                                check=True, capture_output=True, cwd=build)
        for text in answer.stdout.decode().splitlines():
            for file in json.loads(text)['files']:
                path = (build.resolve() / file['file']).resolve()
                if source not in path.parents:
                    continue
                of_folder = lines.setdefault(path.relative_to(source).parts[0], {})
                for line in file['lines']:
                    at = (path.relative_to(root), line['line_number'])
                    of_folder[at] = of_folder.get(at, False) or line['count'] > 0
    return lines


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    lines = count_lines(pathlib.Path(sys.argv[1]))
    print(f'{"folder":12} {"lines":>7} {"run":>7} {"share":>8}')
    status = 0
    for folder, least in sorted({**dict.fromkeys(lines, 0.0), **LEAST}.items()):
        of_folder = lines.get(folder, {})
        ran = sum(of_folder.values())
        if not of_folder or (ran == 0 and least == 0):
            if least > 0:
                print(f'{folder:12} was not built for counting')
                status = 1
            continue
        share = 100.0 * ran / len(of_folder)
        low = share < least
        print(f'{folder:12} {len(of_folder):7} {ran:7} {share:7.1f}%'
              + (f'  below {least:.0f} %' if low else ''))
        if low:
            status = 1
            for (file, line), yes in sorted(of_folder.items()):
                if not yes:
                    print(f'  never run: {file}:{line}')
    return status


if __name__ == '__main__':
    sys.exit(main())
