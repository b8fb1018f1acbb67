#!/usr/bin/env python3
"""Counts the instructions that each stage takes for an event or a purge, and compares them with
bench/baseline.json.

    bench/count.py [--update] [--program PATH]

Unlike a time, a count is the same however busy the machine is: it moves only when the program does
something else. A stage that takes more than LIMIT percent more than the baseline fails. When that
is the price of something wanted, --update writes the new counts, and the commit that makes it
slower shows by how much.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BASELINE = HERE / 'baseline.json'
PROGRAM = HERE.parent / 'build/release/bench/count_bench'
LIMIT = 5  # percent
ROUNDS = {'decode': 1000, 'coalesce_distinct': 100, 'coalesce_repeats': 200, 'ack': 200,
          'dispatch': 100}


def instructions(program, stage, folder):
    """Instructions per event or purge of the stage."""
    out = pathlib.Path(folder) / stage
    # The vectors of simdjson that every processor since 2015 has, whatever this one has besides.
    environment = {**os.environ, 'SIMDJSON_FORCE_IMPLEMENTATION': 'haswell', 'LC_ALL': 'C'}
    run = subprocess.run(
        ['valgrind', '--tool=callgrind', '--toggle-collect=purgeline_counted',
         f'--callgrind-out-file={out}', str(program), stage, str(ROUNDS[stage])],
        capture_output=True, text=True, env=environment, check=False)
    if run.returncode != 0:
        sys.exit(f'count.py: {stage} cannot be counted:\n{run.stderr}')
    total = next(line for line in out.read_text().splitlines() if line.startswith('totals:'))
    return round(int(total.split()[1]) / int(run.stdout), 1)


def compare(baseline, counts):
    """Lines of a table, and what is wrong."""
    lines = [f'{"stage":20} {"baseline":>9} {"now":>9} {"change":>8}']
    wrong = []
    for stage, now in counts.items():
        if stage not in baseline:
            wrong.append(f'{stage} is not in the baseline')
            continue
        change = (now / baseline[stage] - 1) * 100
        lines.append(f'{stage:20} {baseline[stage]:9.1f} {now:9.1f} {change:+7.1f}%')
        if change > LIMIT:
            wrong.append(f'{stage} takes {change:.1f} % more instructions than the baseline; '
                         f'{LIMIT} % are allowed')
        elif change < -LIMIT:
            lines.append(f'  {stage} has become quicker: --update keeps it so')
    wrong += [f'{stage} is in the baseline and not counted' for stage in baseline
              if stage not in counts]
    return lines, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0])
    parser.add_argument('--update', action='store_true', help='write the counts to the baseline')
    parser.add_argument('--program', type=pathlib.Path, default=PROGRAM)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='purgeline-count-') as folder:
        counts = {stage: instructions(options.program, stage, folder) for stage in ROUNDS}
    if options.update:
        BASELINE.write_text(json.dumps({'instructions': counts}, indent=2) + '\n')
        print(json.dumps(counts, indent=2))
        return 0
    lines, wrong = compare(json.loads(BASELINE.read_text())['instructions'], counts)
    print('\n'.join(lines))
    for problem in wrong:
        print(f'count.py: {problem}', file=sys.stderr)
    if wrong:
        print('If that is meant, renew bench/baseline.json in the same commit: '
              './dev bench --counts --update', file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
