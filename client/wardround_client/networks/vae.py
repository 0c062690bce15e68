"""A variational auto-encoder that makes images."""

from wardround_client.networks._network import Network
from wardround_client.networks._vae import vae

NETWORK = Network(vae(16, 32, 64), "variational auto-encoder, 130 thousand weights", generates=True)
