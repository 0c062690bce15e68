"""A narrow variational auto-encoder, since noise for privacy grows with the number of weights."""

from wardround_client.networks._network import Network
from wardround_client.networks._vae import vae

NETWORK = Network(vae(8, 16, 16), "narrow variational auto-encoder, 20 thousand weights", generates=True)
