"""Pictures of the rows."""

from variational_bnn.plots.figures import (
    plot_all,
    plot_bands,
    plot_closeness,
    plot_distance,
    plot_reference,
    plot_regions,
    plot_reliability,
    plot_traces,
)

__all__ = [
    "plot_all",
    "plot_bands",
    "plot_closeness",
    "plot_distance",
    "plot_reference",
    "plot_regions",
    "plot_reliability",
    "plot_traces",
]
