"""A narrow U-Net for outlines under differential privacy, where noise grows with the number of weights."""

from wardround_client.networks._network import Network
from wardround_client.networks._unet import residual_unet

NETWORK = Network(
    residual_unet(8, 16, 32, 64, units=1),
    "narrow U-Net of four levels, 52 thousand weights in 2D, 151 in 3D",
    dense=True,
    dims=(2, 3),
)
