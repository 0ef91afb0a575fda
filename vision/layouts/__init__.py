"""Output layouts: one file each, turning a model's tensors into candidates."""
