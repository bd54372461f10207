"""What GANs learn: the experiments of Radford, Metz & Chintala 2015, with scores and controls."""

__version__ = "0.1.0"
