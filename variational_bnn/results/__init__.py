"""Rows, files and what they sum up to."""

from variational_bnn.results._tables import Cell, results_table
from variational_bnn.results.autoencoders import (
    AutoencoderResult,
    SavedAutoencoders,
    append_autoencoder,
    finished_autoencoders,
    open_autoencoders,
    read_autoencoders,
    summarise_autoencoders,
)
from variational_bnn.results.closeness import closeness, summarise_closeness
from variational_bnn.results.directory import (
    Saved,
    append_cell,
    finished_cells,
    open_directory,
    read_directory,
    read_settings,
)
from variational_bnn.results.summary import of_classes, summarise
from variational_bnn.results.versions import versions

__all__ = [
    "AutoencoderResult",
    "Cell",
    "Saved",
    "SavedAutoencoders",
    "append_autoencoder",
    "append_cell",
    "closeness",
    "finished_autoencoders",
    "finished_cells",
    "of_classes",
    "open_autoencoders",
    "open_directory",
    "read_autoencoders",
    "read_directory",
    "read_settings",
    "results_table",
    "summarise",
    "summarise_autoencoders",
    "summarise_closeness",
    "versions",
]
