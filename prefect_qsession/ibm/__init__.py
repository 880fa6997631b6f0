"""
The one place that talks to the Runtime service, through `qiskit_ibm_runtime`, and the one
translator of its errors into ours. It knows nothing of Prefect. Importing its modules is
slow: import them when they are needed.
"""
