"""Where stacks are trained: in this process, or by trainer actors on Ray."""
