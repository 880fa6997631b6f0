"""The programs a job may run, computed in a simulator process. The service imports none of this."""
