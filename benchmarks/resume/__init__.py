"""Flow runs killed and started again: no job is paid twice, nothing comes out different."""
