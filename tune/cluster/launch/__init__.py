"""Files that start a sweep where people's machines are: Slurm, Kubernetes and SkyPilot."""
