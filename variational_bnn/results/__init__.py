"""Rows, files and what they sum up to."""

from variational_bnn.results._tables import Cell, results_table
from variational_bnn.results.closeness import closeness, summarise_closeness
from variational_bnn.results.directory import Saved, append_cell, finished_cells, open_directory, read_directory
from variational_bnn.results.summary import summarise

__all__ = [
    "Cell",
    "Saved",
    "append_cell",
    "closeness",
    "finished_cells",
    "open_directory",
    "read_directory",
    "results_table",
    "summarise",
    "summarise_closeness",
]
