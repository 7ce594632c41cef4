"""The executor that trains on Ray. Only this package and `tune/cluster` import ray."""
