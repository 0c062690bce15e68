"""MONAI's U-Net with two residual units a level."""

from wardround_client.networks._network import Network
from wardround_client.networks._unet import residual_unet

NETWORK = Network(
    residual_unet(16, 32, 64, 128, 256),
    "U-Net of five levels with residual units, 1.6 million weights in 2D, 4.8 in 3D",
    dense=True,
    dims=(2, 3),
)
