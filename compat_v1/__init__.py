"""TF1-era functions on today's TensorFlow."""
