"""A plain convolutional network, twice as wide as the tiny one."""

from wardround_client.networks._network import Network
from wardround_client.networks._plain_cnn import plain_cnn

NETWORK = Network(plain_cnn(16, 32, 64, 128), "four convolutions, 98 thousand weights", dims=(2, 3))
