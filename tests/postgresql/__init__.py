"""What must hold whatever database the Prefect server has, on PostgreSQL."""
