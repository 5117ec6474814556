"""Executors that train stacks: in this process, or by trainer actors on Ray."""
