"""MONAI's residual network of 50 layers."""

from monai.networks.nets import resnet

from wardround_client.networks._network import Network
from wardround_client.networks._resnet import residual

NETWORK = Network(residual(resnet.resnet50), "residual network of 50 layers, 24 million weights", dims=(2, 3))
