"""Azlan: Azure virtual networking on your own machine."""

__version__ = "0.1.0"
