"""The engine: the only package that imports ray. `run` trains what the loop decides on Ray Tune's workers."""
