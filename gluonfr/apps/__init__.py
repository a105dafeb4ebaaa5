"""Applications on top of the toolkit: galleries, curation of data sets, and a web page."""
