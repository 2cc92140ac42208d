"""Datasets: the lecture's sample, the standard UCI regression tables, any CSV file, and grey images with labels."""

from variational_bnn.datasets.images import IMAGES, Images, digits, labelled, load_images, mnist, read_npz
from variational_bnn.datasets.lecture import lecture, lecture_sample
from variational_bnn.datasets.named import DATASETS, load
from variational_bnn.datasets.tables import read_csv
from variational_bnn.datasets.uci import uci

__all__ = [
    "DATASETS",
    "IMAGES",
    "Images",
    "digits",
    "labelled",
    "lecture",
    "lecture_sample",
    "load",
    "load_images",
    "mnist",
    "read_csv",
    "read_npz",
    "uci",
]
