"""The engine: the only package that imports ray. `run` trains what the controller decides on Ray Tune's workers."""
