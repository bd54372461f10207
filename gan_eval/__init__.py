"""Representation-learning evaluation of GANs: Radford, Metz & Chintala 2015, with scores and controls."""

__version__ = "0.1.0"
