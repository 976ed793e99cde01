"""Thin calls into the extension module, one file a family."""
