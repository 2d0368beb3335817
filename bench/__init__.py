"""Benchmarks of Azlan: `python -m bench`. Every claim is a ratio of things measured turn by turn in the same run."""
