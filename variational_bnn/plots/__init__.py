"""Pictures of the rows, and of what autoencoders make of images."""

from variational_bnn.plots.figures import (
    plot_all,
    plot_bands,
    plot_closeness,
    plot_distance,
    plot_entropy,
    plot_reference,
    plot_regions,
    plot_reliability,
    plot_traces,
)
from variational_bnn.plots.images import (
    plot_latent_grid,
    plot_latents,
    plot_loss_terms,
    plot_reconstructions,
    plot_spread,
    plot_spread_summary,
)

__all__ = [
    "plot_all",
    "plot_bands",
    "plot_closeness",
    "plot_distance",
    "plot_entropy",
    "plot_latent_grid",
    "plot_latents",
    "plot_loss_terms",
    "plot_reconstructions",
    "plot_reference",
    "plot_regions",
    "plot_reliability",
    "plot_spread",
    "plot_spread_summary",
    "plot_traces",
]
