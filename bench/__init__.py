"""Side-by-side benchmarks: `python -m bench.run` measures syncd beside its peers on this machine, in one run."""
