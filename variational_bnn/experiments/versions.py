"""The packages that numbers depend on."""

from __future__ import annotations

from importlib.metadata import version

PACKAGES = ("variational-bnn", "tensorflow", "tf-keras", "tensorflow-probability", "numpy")


def versions() -> dict[str, str]:
    """The version of each, for settings files."""
    return {package: version(package) for package in PACKAGES}
