"""Three hundred datasets at default timings, as a team would move them: found, mended, moved again, cleaned up."""
