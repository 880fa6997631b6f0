"""Histories of flow runs, drawn by their seeds: what holds whatever goes wrong."""
