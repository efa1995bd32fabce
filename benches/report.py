"""Results as Markdown: ratios first, since absolute times belong to one machine."""

import os


def ratio_table(results):
    """A row a peer: above 1 the reference is better, and by how much."""
    head = (
        "workload",
        "peer / reference",
        "wall ratio (range)",
        "CPU ratio (range)",
        "peak memory",
    )
    rows = []
    for result in results:
        for peer in result.others:
            peak = result.peak_ratio(peer)
            rows.append(
                (
                    titled(result),
                    f"{peer} / {result.reference}",
                    spread(result.ratio(peer, "wall")),
                    spread(result.ratio(peer, "cpu")),
                    f"{peak:.2f}x" if peak else "-",
                )
            )
    return table(head, rows)


def time_table(results):
    head = ("workload (this machine)", "peer", "wall us/op", "CPU us/op", "peak MB")
    rows = []
    for result in results:
        for peer in result.samples:
            wall, cpu = (f"{result.microseconds(peer, what):,.0f}" for what in ("wall", "cpu"))
            peak = result.peaks.get(peer)
            rows.append((titled(result), peer, wall, cpu, f"{peak / 1e6:.1f}" if peak else "-"))
    return table(head, rows)


def doubts(settings):
    """A paragraph about a busy machine, if it was."""
    load = settings["load_at_start"]
    if load > os.cpu_count() / 2:
        yield f"The machine was busy (load {load:.1f}): doubt wall ratios."


def notes(results):
    return [
        f"- {titled(result)}: {peer} skipped: {reason}"
        for result in results
        for peer, reason in result.skipped.items()
    ]


def titled(result):
    return f"{result.title} ({result.kind})"


def spread(ratio):
    return f"**{ratio.median:.2f}x** ({ratio.low:.2f}-{ratio.high:.2f})"


def table(head, rows):
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
