"""MONAI's residual network of 18 layers."""

from monai.networks.nets import resnet

from wardround_client.networks._network import Network
from wardround_client.networks._resnet import residual

NETWORK = Network(residual(resnet.resnet18), "residual network of 18 layers, 11 million weights")
