"""What all kinds of training share: their options, the loop, and what they write."""
