"""A plain convolutional network, narrow, since noise for privacy grows with the number of weights."""

from wardround_client.networks._network import Network
from wardround_client.networks._plain_cnn import plain_cnn

NETWORK = Network(plain_cnn(8, 16, 32, 64), "four convolutions, 25 thousand weights", dims=(2, 3))
