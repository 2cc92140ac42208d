"""Datasets: the lecture's sample, the standard UCI regression tables, and any CSV file."""

from variational_bnn.datasets.lecture import lecture, lecture_sample
from variational_bnn.datasets.named import DATASETS, load
from variational_bnn.datasets.tables import read_csv
from variational_bnn.datasets.uci import uci

__all__ = ["DATASETS", "lecture", "lecture_sample", "load", "read_csv", "uci"]
