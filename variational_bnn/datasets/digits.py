"""Handwritten digits of scikit-learn."""

from __future__ import annotations

from variational_bnn.datasets.images import Images


def digits() -> Images:
    """Handwritten digits of 8 x 8 pixels, which come with scikit-learn: 1437 training and 360 test images.

    The pixels have 17 grey levels, 0 to 16, and are divided by 16. The split into training and test images is
    stratified by label and always the same.

    Returns:
        The images, with labels 0 to 9.

    Example:
        >>> import variational_bnn as vbnn
        >>> images = vbnn.digits()
        >>> images.x_train.shape, images.x_test.shape
        ((1437, 8, 8), (360, 8, 8))
    """
    # Imported here since it takes longer than all other imports of this package of datasets.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        images.reshape(-1, 8, 8) / 16, labels, test_size=0.2, stratify=labels, random_state=0
    )
    return Images(name="digits", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
