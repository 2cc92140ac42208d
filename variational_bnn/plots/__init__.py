"""Pictures of the rows."""

from variational_bnn.plots.figures import plot_all, plot_bands, plot_distance, plot_regions

__all__ = ["plot_all", "plot_bands", "plot_distance", "plot_regions"]
