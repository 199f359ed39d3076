"""Fine-tuning: a trained backbone, a few labels, a classifier that knows how sure it is."""
