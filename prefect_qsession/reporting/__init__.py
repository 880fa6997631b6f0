"""What is told of a flow run's session and jobs: log, events, the session report."""
