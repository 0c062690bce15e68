"""A trained model in forms that other programs run: TorchScript in a MONAI bundle, and ONNX; each is checked."""
