"""Pictures of the rows, each worth a slide. Figures are made without pyplot: no window, no global state.

A method has the same colour, marker and line in all figures that `plot_all` makes. Spread is shown as a standard
deviation, in the units of y; what is exactly zero is shown as "0", beside the logarithmic axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from variational_bnn.report.figures.axes import styles
from variational_bnn.report.figures.bands import bands
from variational_bnn.report.figures.distances import distances
from variational_bnn.report.figures.entropy import entropies, known
from variational_bnn.report.figures.reference import against_reference
from variational_bnn.report.figures.reference_distances import close_points, reference_distances
from variational_bnn.report.figures.regions import regions_figure
from variational_bnn.report.figures.reliability import reliability, scored
from variational_bnn.report.figures.traces import Traces, chain_traces


def plot_bands(
    predictions: pd.DataFrame, data: pd.DataFrame, target: str | None = None, methods: Sequence[str] | None = None
) -> Figure:
    """A panel a method, of its first seed: training data, predictive mean, and two bands of +-2 sd.

    The dark band is epistemic, the light one total. The axis shows the training targets and as much again on either
    side; a triangle marks where a band leaves it and the panel says how far it reaches. Of a probability the dark band
    alone is shown, as far as it is one.

    Args:
        predictions: Rows as in `Saved.predictions`, of a dataset of one feature.
        data: Training rows, the feature and then the targets.
        target: The output to show; the first by default.
        methods: Those to show, in this order; all by default.

    Raises:
        ValueError: If there is not exactly one feature, or a target or a method is unknown.
    """
    return bands(predictions, data, target, methods, styles(predictions["method"]))


def plot_regions(results: pd.DataFrame) -> Figure:
    """Epistemic sd by region, a row a method: geometric mean over seeds and its 95 % interval.

    Args:
        results: Rows of one dataset, as in `Saved.results`.
    """
    return regions_figure(results, styles(results["method"]))


def plot_entropy(results: pd.DataFrame) -> Figure:
    """Entropy of the class by region, a row a method, in its two parts: means over seeds, in nats.

    The dark part of a bar is the mutual information of class and draw, what the draws disagree on; the light part is
    the expected entropy, which they agree on.

    Args:
        results: Rows of one dataset, as in `Saved.results`.

    Raises:
        ValueError: If no row has an entropy.
    """
    return entropies(results, styles(results["method"]))


def plot_distance(predictions: pd.DataFrame) -> Figure:
    """Epistemic sd against distance from the training inputs: medians and quartiles over the queries of all seeds.

    Distances up to 1, the edge of `near`, are on a linear scale and the rest on a logarithmic one. A triangle marks
    where a line is more than four powers of ten below the largest sd. With more than one output, the sd of a query is
    the root of its mean variance.

    Args:
        predictions: Rows as in `Saved.predictions`; queries at an infinite distance are left out.
    """
    return distances(predictions, styles(predictions["method"]))


def plot_reference(predictions: pd.DataFrame, data: pd.DataFrame, reference: str, target: str | None = None) -> Figure:
    """A panel a method: its epistemic sd over the input, on a logarithmic scale, and the reference's in black.

    Lines are geometric means over seeds, bands go from the smallest to the largest seed's sd. What is exactly zero is
    in a strip of its own. A line may leave the axis where it is 30 times beyond the reference's range: a triangle marks
    where, and the panel says how far it reaches.

    Args:
        predictions: Rows as in `Saved.predictions`, of a dataset of one feature.
        data: Training rows, the feature and then the targets.
        reference: The method that the others are held against.
        target: The output to show; the first by default.

    Raises:
        ValueError: If there is not exactly one feature, the reference or the target is unknown, or there is no other
            method.
    """
    return against_reference(predictions, data, reference, target, styles(predictions["method"]))


def plot_reference_distance(summary: pd.DataFrame, reference: str) -> Figure:
    """How close each method comes to the reference, against the seconds that it takes: a panel a region.

    Bars are the intervals over seeds, a triangle where one leaves the axis. The grey line is the reference against
    itself, the closest that can be told from it; the dotted one is what it costs. A method is left out of a region
    where its distance is NaN, and of all if its seconds are.

    Args:
        summary: A row a method: `method`, `fit_seconds`, `predict_seconds` and, for each region,
            `wasserstein_<region>` with its `_low` and `_high`, in units of the reference's sd, or of probability if
            there is an `entropy_<region>`.
        reference: The method that the others are held against.

    Raises:
        ValueError: If a column is missing, the reference is unknown or nothing is left to show.
    """
    return reference_distances(summary, reference, styles(summary["method"]))


def plot_reliability(predictions: pd.DataFrame) -> Figure:
    """Coverage of central predictive intervals against their level, a line a method, a panel a region.

    Coverage at a level is the share of held-out rows, outputs and seeds with |2 pit - 1| at most the level. The grey
    band holds 95 % of the coverages of a calibrated forecast at each level: binomial, with as many trials as there are
    different rows, since seeds and outputs share them. Below it a method is too sure of itself, above it too unsure.

    Args:
        predictions: Rows as in `Saved.predictions`; those without a `pit` are left out.

    Raises:
        ValueError: If no row has a `pit`, or one is outside 0 to 1.
    """
    return reliability(predictions, styles(predictions["method"]))


def plot_traces(traces: Traces) -> Figure:
    """Log posterior density along the Markov chains of each method's first seed, a line a chain.

    The axis shows the kept steps, from their 0.5 % to their 99.5 % quantile and half as much again on either side. What
    leaves it, as chains do in their warm-up, is marked with a triangle at its first step and said in words. A recorded
    step of one method is not as much work as one of another.

    Args:
        traces: (dataset, method, seed) to `trace` `[steps, chains]`, in nats, and `warmup`, how many of the steps are
            not kept.

    Raises:
        ValueError: If there are no traces, or a shape or a warm-up does not fit.
    """
    return chain_traces(traces, styles(method for _, method, _ in traces))


def plot_all(
    results: pd.DataFrame,
    predictions: pd.DataFrame,
    data: pd.DataFrame,
    *,
    summary: pd.DataFrame | None = None,
    reference: str | None = None,
    traces: Traces | None = None,
) -> dict[str, Figure]:
    """All the figures that the rows allow, by name.

    `regions` always, `entropy` of classes, `distance` with predictions and `bands` if they are of one feature;
    `reliability` if there are held-out numbers, `traces` if there are chains. With a reference, `closeness` if the
    summary knows how close a method is to it, and for one feature `reference` if it and another have predictions.

    Args:
        results: Rows of one dataset, as in `Saved.results`.
        predictions: Rows as in `Saved.predictions`.
        data: Training rows, the features and then the outputs.
        summary: See `plot_reference_distance`.
        reference: The method that the others are held against.
        traces: See `plot_traces`.
    """
    looks = styles(results["method"])
    predicted = set(predictions["method"]) if len(predictions) else set()
    one_feature = len(predictions) > 0 and bool(predictions["x"].notna().all())
    figures = {"regions": regions_figure(results, looks)}
    if len(known(results)):
        figures["entropy"] = entropies(results, looks)
    if predicted:
        figures["distance"] = distances(predictions, looks)
    if one_feature:
        figures["bands"] = bands(predictions, data, None, None, looks)
    if one_feature and reference in predicted and len(predicted) > 1:
        figures["reference"] = against_reference(predictions, data, str(reference), None, looks)
    if summary is not None and reference is not None and close_points(summary, reference)["method"].ne(reference).any():
        figures["reference_distance"] = reference_distances(summary, reference, looks)
    if len(scored(predictions)):
        figures["reliability"] = reliability(predictions, looks)
    if traces:
        figures["traces"] = chain_traces(traces, looks)
    return figures
