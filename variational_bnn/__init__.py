"""Where does each kind of variation know that it does not know? Bayesian networks in Keras, built, fitted and compared.

The public names are listed in `__init__.pyi`. Each is imported when it is first used, so that what needs no TensorFlow
does not wait for it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
