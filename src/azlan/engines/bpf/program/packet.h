/* A packet's headers, read once, and the counted reasons to drop it. */
#pragma once

#include <bpf/bpf_endian.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include "layout.h"

/* One counter, then the reasons in the order of azlan.contract.engine.Drop: a unit test compares them. */
enum counter {
	COUNT_DELIVERED,
	DROP_UNKNOWN_PORT,
	DROP_MALFORMED,
	DROP_NOT_IP,
	DROP_VLAN,
	DROP_IP_OPTIONS,
	DROP_FOREIGN_MAC,
	DROP_SPOOFED,
	DROP_MULTICAST,
	DROP_PROTOCOL,
	DROP_ARP,
	DROP_FRAGMENT,
	DROP_ROUTE_NONE,
	DROP_NO_ROUTE,
	DROP_NO_NIC,
	DROP_NOT_PLUGGED,
	DROP_NOT_FORWARDING,
	DROP_NIC_OUT,
	DROP_SUBNET_OUT,
	DROP_SUBNET_IN,
	DROP_NIC_IN,
	DROP_PEER_ACCESS,
	DROP_FLOW_QUOTA,
	DROP_NO_OUTBOUND,
	DROP_PRIVATE_DESTINATION,
	DROP_GATEWAY,
	DROP_ICMP_ERROR,
};

#define IP_AT ETH_HLEN
#define L4_AT (ETH_HLEN + 20)
#define QUOTED_AT (L4_AT + 8)
#define MORE_FRAGMENTS 0x2000
#define FRAGMENT_SECONDS 30
#define SECOND 1000000000ULL

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

#define WHOLE 0
#define FIRST_FRAGMENT 1
#define LATER_FRAGMENT 2

struct packet {
	__u64 epoch, now;
	__u32 plugs, source, destination;
	struct tuple flow; /* as the sender sees it; of an ICMP error: the flow it quotes */
	__u16 bytes, fragment_bits, id;
	__u8 protocol, tcp_flags, fragment, quoting;
};

/* Functions that are not static are verified by themselves, once, and not at every call: that keeps loading short.
 * The verifier then takes their pointers for possibly null. */
__noinline int count(__u64 nic, __u32 what, __u32 bytes)
{
	struct counters *c = bpf_map_lookup_elem(&counted, &nic);

	if (!c) { /* not plugged: counted at the fabric itself */
		__u64 fabric = 0;

		c = bpf_map_lookup_elem(&counted, &fabric);
		if (!c)
			return 0;
	}
	if (what < COUNTERS) {
		c->of[what].packets++;
		c->of[what].bytes += bytes;
	}
	return 0;
}

/* Tell of a drop, unless one of this NIC and reason was told of just now. The reader looks once a second: no wake-up. */
static __noinline void tell(struct __sk_buff *skb, __u64 nic, __u32 why)
{
	struct told_key key = { .nic = nic, .reason = why };
	struct told fresh = { .at = bpf_ktime_get_boot_ns() }, *t = bpf_map_lookup_elem(&told, &key);
	__u64 length = skb->len < TOLD_BYTES ? skb->len : TOLD_BYTES, packets = 1;
	struct drop *d;

	if (!t) {
		bpf_map_update_elem(&told, &key, &fresh, BPF_ANY);
	} else {
		__sync_fetch_and_add(&t->since, 1);
		if (fresh.at - t->at < TELL_SECONDS * SECOND)
			return;
		t->at = fresh.at;
		packets = t->since;
		t->since = 0;
	}
	d = bpf_ringbuf_reserve(&drops, sizeof(*d), 0);
	if (!d)
		return;
	d->nic = nic;
	d->packets = packets;
	d->reason = why;
	d->bytes = skb->len;
	d->vlan = skb->vlan_present ? skb->vlan_tci | 0x10000 : 0;
	d->length = length;
	asm volatile("" : "+r"(length)); /* so that the verifier sees the bounds of what it is handed */
	if (length < ETH_HLEN || length > TOLD_BYTES || bpf_skb_load_bytes(skb, 0, d->head, length))
		d->length = 0;
	bpf_ringbuf_submit(d, BPF_RB_NO_WAKEUP);
}

__noinline int drop(struct __sk_buff *skb, __u64 nic, __u32 why)
{
	count(nic, why, skb->len);
	tell(skb, nic, why);
	return TC_ACT_SHOT;
}

static __always_inline int same_mac(const __u8 *one, const __u8 *other)
{
	return one[0] == other[0] && one[1] == other[1] && one[2] == other[2] && one[3] == other[3] &&
	       one[4] == other[4] && one[5] == other[5];
}

static __always_inline int is_multicast(__u32 address)
{
	__u32 host = bpf_ntohl(address);

	return (host >> 28) == 14 || host == 0xffffffff;
}

static __always_inline int read_ip(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, IP_AT, &ip, sizeof(ip)))
		return DROP_MALFORMED;
	p->bytes = bpf_ntohs(ip.tot_len);
	if (ip.version != 4 || ip.ihl < 5 || p->bytes < 20 || (__u32)p->bytes + ETH_HLEN > skb->len)
		return DROP_MALFORMED;
	if (ip.ihl > 5)
		return DROP_IP_OPTIONS;
	p->source = ip.saddr;
	p->destination = ip.daddr;
	p->protocol = ip.protocol;
	p->fragment_bits = bpf_ntohs(ip.frag_off);
	p->id = ip.id;
	p->flow.near = ip.saddr;
	p->flow.far = ip.daddr;
	p->flow.protocol = ip.protocol;
	return ip.protocol == IPPROTO_IPIP || ip.protocol == IPPROTO_GRE ? DROP_PROTOCOL : 0;
}

static __always_inline void icmp_ports(__u8 type, __u16 id, __u16 *source, __u16 *destination)
{
	if (type == 8 || type == 13) {
		*source = id;
		*destination = type;
	} else if (type == 0 || type == 14) {
		*source = type ? 13 : 8;
		*destination = id;
	} else {
		*source = *destination = type;
	}
}

/* An ICMP error belongs to the flow it quotes: the quoted packet's tuple, turned round. */
static __noinline int read_quoted(struct __sk_buff *skb, struct packet *p)
{
	__u16 source = 0, destination = 0;
	struct iphdr ip;
	__u16 l4[4];

	if (bpf_skb_load_bytes(skb, QUOTED_AT, &ip, sizeof(ip)) ||
	    bpf_skb_load_bytes(skb, QUOTED_AT + 20, l4, sizeof(l4)))
		return DROP_MALFORMED;
	if (ip.version != 4 || ip.ihl != 5 || bpf_ntohs(ip.frag_off) & 0x1fff)
		return DROP_ICMP_ERROR;
	if (ip.protocol == IPPROTO_TCP || ip.protocol == IPPROTO_UDP) {
		source = bpf_ntohs(l4[0]);
		destination = bpf_ntohs(l4[1]);
	} else if (ip.protocol == IPPROTO_ICMP) {
		icmp_ports(*(__u8 *)l4, bpf_ntohs(l4[2]), &source, &destination);
	}
	p->flow.near = ip.daddr;
	p->flow.far = ip.saddr;
	p->flow.near_port = destination;
	p->flow.far_port = source;
	p->flow.protocol = ip.protocol;
	p->quoting = 1;
	return 0;
}

/* A later fragment has no ports: it takes those of its first, and may not overlap what came before. */
static __noinline int follow_fragment(struct packet *p, __u64 nic)
{
	struct fragment_key key = { .nic = nic, .source = p->source, .destination = p->destination,
				    .id = p->id, .protocol = p->protocol };
	__u32 start = (p->fragment_bits & 0x1fff) * 8, bytes = p->bytes - 20;
	struct fragment *f = bpf_map_lookup_elem(&fragments, &key);

	if (!f || p->now - f->seen > FRAGMENT_SECONDS * SECOND)
		return DROP_FRAGMENT;
	if (start < f->end || start + bytes > 65515 || (p->fragment_bits & MORE_FRAGMENTS && bytes & 7)) {
		bpf_map_delete_elem(&fragments, &key);
		return DROP_FRAGMENT;
	}
	f->end = start + bytes;
	p->flow.near_port = f->source_port;
	p->flow.far_port = f->destination_port;
	p->fragment = LATER_FRAGMENT;
	if (!(p->fragment_bits & MORE_FRAGMENTS))
		bpf_map_delete_elem(&fragments, &key);
	return 0;
}

static __noinline int begin_fragments(struct packet *p, __u64 nic)
{
	struct fragment_key key = { .nic = nic, .source = p->source, .destination = p->destination,
				    .id = p->id, .protocol = p->protocol };
	struct fragment first = { .seen = p->now, .end = p->bytes - 20, .source_port = p->flow.near_port,
				  .destination_port = p->flow.far_port };
	struct fragment *f = bpf_map_lookup_elem(&fragments, &key);

	if (first.end & 7)
		return DROP_FRAGMENT;
	if (f && p->now - f->seen <= FRAGMENT_SECONDS * SECOND) { /* a second first one overlaps the first */
		bpf_map_delete_elem(&fragments, &key);
		return DROP_FRAGMENT;
	}
	p->fragment = FIRST_FRAGMENT;
	bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
	return 0;
}

__noinline int read_l4(struct __sk_buff *skb, struct packet *p, __u64 nic)
{
	if (!p)
		return DROP_MALFORMED;
	__u32 need = p->protocol == IPPROTO_TCP ? 20 :
		     p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_ICMP ? 8 : 0;
	__u16 l4[8] = {};
	int why;

	if (p->fragment_bits & 0x1fff)
		return follow_fragment(p, nic);
	if (p->bytes < 20 + need)
		return p->fragment_bits & MORE_FRAGMENTS ? DROP_FRAGMENT : DROP_MALFORMED;
	if (p->protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, L4_AT, l4, 14))
			return DROP_MALFORMED;
		p->tcp_flags = ((__u8 *)l4)[13];
	} else if (need && bpf_skb_load_bytes(skb, L4_AT, l4, 8)) {
		return DROP_MALFORMED;
	}
	if (p->protocol == IPPROTO_ICMP) {
		__u8 type = *(__u8 *)l4;

		if (type == 3 || type == 4 || type == 5 || type == 11 || type == 12) {
			why = read_quoted(skb, p);
			if (why)
				return why;
		} else {
			icmp_ports(type, bpf_ntohs(l4[2]), &p->flow.near_port, &p->flow.far_port);
		}
	} else if (need) {
		p->flow.near_port = bpf_ntohs(l4[0]);
		p->flow.far_port = bpf_ntohs(l4[1]);
	}
	return p->fragment_bits & MORE_FRAGMENTS ? begin_fragments(p, nic) : 0;
}
