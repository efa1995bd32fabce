"""The codec's table: a row per document and work, with what each peer takes and the goal."""

from benches.codec import goals
from benches.codec.codecs import REFEREE, SUBJECT
from benches.report import spread, table


def ratio_table(results, others):
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
    return f"{verdict.text} {'met' if verdict.passed else '**missed**'}"


def introduction(settings):
    return (
        f"{settings['data'].capitalize()}, {settings['rounds']} rounds. A ratio is the median of "
        f"the rounds' ratios, peer divided by {SUBJECT}; above 1x {SUBJECT} is better. Goals are "
        f"set against {REFEREE} with its C extension."
    )


ORJSON_NOTE = (
    "orjson is for orientation: the same data as JSON, which has fewer types (dates, ids and "
    "binary data are strings there)."
)
