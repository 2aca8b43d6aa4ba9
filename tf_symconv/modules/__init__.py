"""tf.Module layers."""
