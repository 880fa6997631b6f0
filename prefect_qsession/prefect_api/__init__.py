"""What the plugin asks of Prefect, and how: clients, blocks, runs and those around them."""
