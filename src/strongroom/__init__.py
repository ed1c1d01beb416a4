"""Access control, evidence and theft detection for AI models and datasets.

The public faces are the folders of this package; the command line is `strongroom.cli`.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
