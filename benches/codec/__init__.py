"""The BSON codec by itself, measured beside its peers: `python -m benches codec`."""
