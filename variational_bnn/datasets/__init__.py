"""Datasets: the lecture's sample, the standard UCI regression tables, any CSV file, and grey images with labels."""

from variational_bnn.datasets.digits import digits
from variational_bnn.datasets.images import Images
from variational_bnn.datasets.labelled import labelled
from variational_bnn.datasets.lecture import lecture, lecture_sample
from variational_bnn.datasets.mnist import mnist
from variational_bnn.datasets.named import DATASETS, IMAGES, NamedDataset, load, load_images
from variational_bnn.datasets.npz import read_npz
from variational_bnn.datasets.tables import read_csv
from variational_bnn.datasets.uci import uci

__all__ = [
    "DATASETS",
    "IMAGES",
    "Images",
    "NamedDataset",
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
