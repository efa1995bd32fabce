"""ferromongo measured beside its peers, interleaved in one run: `python -m benches`."""
