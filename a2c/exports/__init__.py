"""Exports of a policy: to C, Python, ONNX, Paddle's formats and a page for the browser."""
