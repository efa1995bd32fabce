"""The codec's table: a row per document and work, with what each peer takes and the goal."""

from benches.codec import goals
from benches.codec.codecs import REFEREE
from benches.report import spread, table


def summary(results, peer):
    """One peer's wall ratios at a glance: a row a document."""
    works = dict.fromkeys(result.title for result in results)
    rows = {}
    for result in results:
        row = rows.setdefault(result.kind, {"peak memory": "-"})
        row[result.title] = spread(result.ratio(peer, "wall"))
        if ratio := result.peak_ratio(peer):
            row["peak memory"] = f"{ratio:.1f}x"
    columns = [*works, "peak memory"]
    lines = [(name, *(row.get(column, "-") for column in columns)) for name, row in rows.items()]
    return table((peer, *columns), lines)


def ratio_table(results, others):
    """Every measurement, with the goals."""
    head = ("document", "work")
    for peer in others:
        head += (f"{peer}: wall ratio (range)", "CPU ratio (range)")
    rows = [
        (
            result.kind,
            result.title,
            *(
                spread(result.ratio(peer, measure))
                for peer in others
                for measure in ("wall", "cpu")
            ),
            peak(result),
            ", ".join(map(marked, goals.verdicts(result))) or "-",
        )
        for result in results
    ]
    return table((*head, f"peak memory, {REFEREE}", "goals"), rows)


def peak(result):
    ratio = result.peak_ratio(REFEREE)
    return f"{ratio:.2f}x" if ratio else "-"


def marked(verdict):
    return f"{verdict.text}: {'met' if verdict.passed else '**missed**'}"


def introduction(settings, reference):
    return (
        f"{settings['data'].capitalize()}, {settings['rounds']} rounds. A ratio is the median of "
        f"the rounds' ratios, peer divided by {reference}; above 1x {reference} is better."
    )


ORJSON_NOTE = (
    "orjson is for orientation: the same data as JSON, which has fewer types (dates, ids and "
    "binary data are strings there)."
)
