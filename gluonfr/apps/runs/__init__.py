"""Training runs side by side: listing, comparison, a live view. Works from the files of run folders, without MXNet."""
