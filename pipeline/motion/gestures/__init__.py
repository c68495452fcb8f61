"""Gestures generated from speech: head, beats, arms."""
