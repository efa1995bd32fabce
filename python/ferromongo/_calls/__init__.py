"""PyMongo-shaped arguments in, pending calls out: shared by both twins, and nothing here waits."""
