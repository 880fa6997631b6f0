"""
The session report: what a flow run's session, jobs and numbers look like to whoever watches it.

Pure: `RunReport` takes events and their times, the rest turns it into text and pictures. It
knows neither Prefect nor the service, and does no I/O.
"""
