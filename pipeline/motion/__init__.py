"""Pure functions over key points and sound: numpy, scipy, OpenCV and librosa; no torch, no
files."""
