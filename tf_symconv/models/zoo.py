"""Networks of the literature whose predictions do not change when an image is turned or mirrored.

Each one has a plain twin, an ordinary network with as many weights. The functions return functional Keras models that
are not compiled; their weights are random. :mod:`tf_symconv.models.equivariance` confirms what they promise.
"""

from tf_symconv.models._zoo_densenet import densenet
from tf_symconv.models._zoo_digits import p4cnn, p4mcnn, z2cnn
from tf_symconv.models._zoo_resnet import resnet

__all__ = ["densenet", "p4cnn", "p4mcnn", "resnet", "z2cnn"]
