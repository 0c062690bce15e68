"""What Flower's actors run for each hospital: its ClientApp, in a module that they import."""

from __future__ import annotations

from functools import lru_cache

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from work import Arrays, Network, train

hospital = lru_cache(Arrays)  # an actor keeps open whom it answered for
network = lru_cache(Network)

client = ClientApp()


@client.train()
def answer(message: Message, context: Context) -> Message:
    """Train at one hospital."""
    arrays, config = message.content["arrays"], message.content["config"]
    network().load_state_dict(arrays.to_torch_state_dict())
    images = train(network(), hospital(int(context.node_config["partition-id"])), int(config["server-round"]) - 1)
    metrics = MetricRecord({"num-examples": images})
    content = RecordDict({"arrays": ArrayRecord(network().state_dict()), "metrics": metrics})
    return Message(content, reply_to=message)
