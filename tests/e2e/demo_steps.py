"""What the demonstrations print in the same way."""

DENIED = 3  # purgeline_target_state


def step(number, text):
    print(f'\n{number}. {text}', flush=True)


def show_purges(daemon, before, layers):
    """What the daemon's metrics have gained since `before`: it probes its caches when it starts."""
    metrics = daemon.metrics()

    def value(name, **labels):
        return sum(number if samples is metrics else -number
                   for samples in (metrics, before) for have, number in samples.get(name, [])
                   if all(have.get(key) == want for key, want in labels.items()))
    for layer in layers:
        names = {labels['outcome'] for labels, _ in metrics.get('purgeline_purges_total', [])}
        outcomes = {name: int(value('purgeline_purges_total', layer=layer, outcome=name))
                    for name in sorted(names)}
        count = value('purgeline_attempt_seconds_count', layer=layer)
        spent = value('purgeline_attempt_seconds_sum', layer=layer)
        took = f'{1000 * spent / count:.2f} ms each' if count else 'none answered'
        said = ', '.join(f'{number} {outcome}' for outcome, number in outcomes.items() if number)
        print(f'   {layer:<15} {said or "no purge"} ({took})')
