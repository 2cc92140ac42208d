"""Rows, files and what they sum up to."""

from variational_bnn.results.directory import (
    Cell,
    Saved,
    append_cell,
    finished_cells,
    open_directory,
    read_directory,
    results_table,
)
from variational_bnn.results.summary import summarise

__all__ = [
    "Cell",
    "Saved",
    "append_cell",
    "finished_cells",
    "open_directory",
    "read_directory",
    "results_table",
    "summarise",
]
