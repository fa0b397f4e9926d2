"""Models and schedulers of other libraries. Nothing here imports them before it needs them."""
