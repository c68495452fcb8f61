"""How the files of `checkpoints/holistic` were made: MediaPipe's TFLite models become ONNX files.

Only developers need it; it needs the packages `tflite` and `onnx` of requirements-dev.txt.
"""
