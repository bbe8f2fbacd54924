"""A harvester of Docker Hub metadata. Holds the version, nothing else."""

__version__ = "0.1.0"
