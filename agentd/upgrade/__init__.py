"""What runs beside the agent, as root, and brings its host to another release."""
