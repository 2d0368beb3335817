"""The bpf engine: one eBPF program on every NIC's port, tables that flip by epoch, all of it pinned."""
