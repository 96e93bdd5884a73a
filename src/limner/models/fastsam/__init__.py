"""FastSAM, as an ONNX file."""
