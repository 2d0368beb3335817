"""What makes the World's network parts true: `model` by reasoning, `bpf` in the kernel."""
