"""Base classes of the losses and what they share."""
