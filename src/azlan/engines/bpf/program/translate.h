/* One address of a packet replaced, with its checksums: public IPs and transit addresses. */
#pragma once

#include "packet.h"

#define AT_SOURCE (IP_AT + 12)
#define AT_DESTINATION (IP_AT + 16)

/* An ICMP error carries the header of the packet it is about, in which the address stands on the other side. That
 * header's own checksum takes up the difference, so that ICMP's stays right. */
static __always_inline int translate_quoted(struct __sk_buff *skb, __u32 at, __u32 from, __u32 to)
{
	__u32 inner = QUOTED_AT + (at == AT_SOURCE ? 16 : 12), found;

	if (bpf_skb_load_bytes(skb, inner, &found, 4) || found != from)
		return 0;
	return bpf_l3_csum_replace(skb, QUOTED_AT + 10, from, to, 4) || bpf_skb_store_bytes(skb, inner, &to, 4, 0);
}

/* 0, or 1 where the packet cannot be written. */
__noinline int translate(struct __sk_buff *skb, struct packet *p, __u32 at, __u32 to)
{
	if (!p)
		return 1;
	__u32 from = at == AT_SOURCE ? p->source : p->destination;

	if (p->quoting && translate_quoted(skb, at, from, to))
		return 1;
	if (p->fragment != LATER_FRAGMENT) {
		if (p->protocol == IPPROTO_TCP &&
		    bpf_l4_csum_replace(skb, L4_AT + 16, from, to, BPF_F_PSEUDO_HDR | 4))
			return 1;
		if (p->protocol == IPPROTO_UDP &&
		    bpf_l4_csum_replace(skb, L4_AT + 6, from, to, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | 4))
			return 1;
	}
	return bpf_l3_csum_replace(skb, IP_AT + 10, from, to, 4) || bpf_skb_store_bytes(skb, at, &to, 4, 0);
}
