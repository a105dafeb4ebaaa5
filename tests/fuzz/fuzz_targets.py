"""All readers of files and requests by name."""

import fuzz_detection
import fuzz_galleries
import fuzz_results
import fuzz_sets
import fuzz_weights

TARGETS = {
    **fuzz_sets.TARGETS,
    **fuzz_weights.TARGETS,
    **fuzz_results.TARGETS,
    **fuzz_galleries.TARGETS,
    **fuzz_detection.TARGETS,
}
