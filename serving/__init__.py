"""Verified SavedModels for TensorFlow Serving."""
