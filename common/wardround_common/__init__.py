"""The words that hospital, coordinator and simulation share. No torch, no Flower, no images."""
