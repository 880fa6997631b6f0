"""What prefect-qsession costs, measured: each module runs by itself and prints its figures."""
