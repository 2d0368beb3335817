"""The World over a Unix socket: the boundary between the control process and the fabric process."""
