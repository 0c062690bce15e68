"""What hospital, coordinator and simulation share. No torch, no Flower, no images."""
