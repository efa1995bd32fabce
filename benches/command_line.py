"""The options that all tables of benchmarks share."""


def add_common(parser, names, latest):
    """`names` are what --only chooses from; samples go to `latest` unless --save says otherwise."""
    parser.add_argument("--quick", action="store_true", help="3 rounds, a quarter of the work")
    parser.add_argument("--rounds", type=int, help="default 7, or 3 with --quick")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(names)}")
    parser.add_argument("--no-memory", action="store_true", help="skip the memory children")
    parser.add_argument("--save", metavar="FILE", default=latest, help="JSON of all samples")
    parser.add_argument("--gate", action="store_true", help="judge; exit code 1 on a failed line")


def rounds(options):
    return options.rounds or (3 if options.quick else 7)


def split(parser, text, known, usual=None):
    """The comma-separated names of `text`; without a text the usual ones, which may be all."""
    names = text.split(",") if text else list(usual or known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return names
