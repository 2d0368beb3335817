"""Machines: guests as containers and Bastion hosts, or simulated ones."""
