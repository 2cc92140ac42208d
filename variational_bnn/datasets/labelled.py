"""Images to classify, of which one class is held out from training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variational_bnn.base import BEYOND, NEAR, Dataset
from variational_bnn.base.checks import Array, require
from variational_bnn.datasets.images import Images


def labelled(images: Images, held_out: int) -> Dataset:
    """A dataset of images to classify, one row an image, with one label held out from training.

    It shows whether a model is more uncertain about images of a class that it was not trained on. The training rows are
    the training images of all other labels. The test images of those labels are held-out rows in the region "near",
    the test images of the held-out label are held-out rows in the region "beyond". Every label is a class, so that the
    held-out label is a class without training rows. Pixels that are constant over the training rows are left out.

    Args:
        images: Images with labels.
        held_out: The label that is held out from training.

    Returns:
        The dataset, with pixels in [0, 1] as features and the number of the class as the target.

    Raises:
        ValueError: If no test image has the label, fewer than two training images or classes are left, or all pixels
            are constant.

    Example:
        >>> import variational_bnn as vbnn
        >>> dataset = vbnn.labelled(vbnn.digits(), held_out=9)
        >>> dataset.x.shape, dataset.x_test.shape
        ((1293, 60), (360, 60))
        >>> dataset.class_names
        ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    seen = images.without(held_out)
    out = images.x_test[images.y_test == held_out]
    require(len(out) > 0, f"images {images.name!r} have no test image of label {held_out}")
    tables = [x.reshape(len(x), -1) for x in (seen.x_train, seen.x_test, out)]
    varies = tables[0].min(axis=0) < tables[0].max(axis=0)
    require(bool(varies.any()), f"images {images.name!r} have no pixel that varies")
    x_train, x_test, x_out = (table[:, varies].astype(np.float64) for table in tables)
    height, width = images.image_shape
    names = [f"pixel_{row}_{column}" for row in range(height) for column in range(width)]

    def numbers(labels: npt.NDArray[np.int64]) -> Array:
        return np.searchsorted(images.labels, labels)[:, None].astype(np.float64)

    return Dataset(
        name=f"{images.name}_without_{held_out}",
        x=x_train,
        y=numbers(seen.y_train),
        feature_names=tuple(np.array(names)[varies].tolist()),
        target_names=("label",),
        class_names=tuple(map(str, images.labels)),
        x_test=np.concatenate([x_test, x_out]),
        y_test=numbers(np.concatenate([seen.y_test, np.full(len(out), held_out)])),
        test_regions=np.repeat([NEAR, BEYOND], [len(x_test), len(out)]),
    )
