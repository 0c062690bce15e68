"""What FLARE's simulator runs for each hospital: receive, train, send, by its Client API."""

from __future__ import annotations

import nvflare.client as flare
from nvflare.app_common.abstract.fl_model import FLModel
from work import Arrays, Network, mark, train


def main() -> None:
    """Answer until the server says that it was enough."""
    flare.init()
    arrays, network = Arrays(int(flare.get_site_name().removeprefix("site-")) - 1), Network()
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        mark(received.current_round)
        network.load_state_dict(received.params)
        images = train(network, arrays, received.current_round)
        # FLARE weighs by what stands under this name: images, as FedAvg has it.
        flare.send(FLModel(params=network.state_dict(), meta={"NUM_STEPS_CURRENT_ROUND": images}))


if __name__ == "__main__":
    main()
