/* The program of a NIC's port, on tc ingress of the fabric's end of its veth, and that of the outside link.
 *
 * Every NIC is a port of the fabric, as in Azure's VFP: the sender's port decides and hands the packet straight to the
 * receiver's; TTL is not touched. The order of what is asked is that of engines/model.py.
 */
#include "gates.h"
#include "translate.h"

static const __u8 FABRIC_MAC[6] = { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc };
#define DNS_ADDRESS bpf_htonl(0xa83f8110) /* 168.63.129.16 */
#define IMDS_ADDRESS bpf_htonl(0xa9fea9fe) /* 169.254.169.254 */

static __always_inline int is_platform(__u32 address)
{
	return address == DNS_ADDRESS || address == IMDS_ADDRESS;
}

static __always_inline int is_unreachable(__u32 address)
{
	struct plain_prefix key = { .length = 32, .address = address };

	return bpf_map_lookup_elem(&unreachable, &key) != 0;
}

static __always_inline struct nic *nic_of(__u64 part, __u64 at, __u64 *content)
{
	*content = part ? resolve(part, at) : 0;
	return *content ? bpf_map_lookup_elem(&nics, content) : 0;
}

static __always_inline struct nic_address *own_address(__u64 content, __u32 address)
{
	struct content_address key = { .content = content, .address = address };

	return bpf_map_lookup_elem(&nic_addresses, &key);
}

static __always_inline __u64 read_epoch(void)
{
	__u32 zero = 0;
	__u64 *now = bpf_map_lookup_elem(&epoch, &zero);

	return now ? READ_ONCE(*now) : 0;
}

static __always_inline int write_macs(struct __sk_buff *skb, const __u8 *to)
{
	__u8 macs[12];

	__builtin_memcpy(macs, to, 6);
	__builtin_memcpy(macs + 6, FABRIC_MAC, 6);
	return bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0);
}

struct arp {
	__be16 hardware, protocol;
	__u8 hardware_size, protocol_size;
	__be16 operation;
	__u8 sender_mac[6], sender[4], target_mac[6], target[4];
} __attribute__((packed));

/* The fabric answers for every address of the VNet but the asker's own. */
__noinline int answer_arp(struct __sk_buff *skb, __u64 nic, __u64 at)
{
	__u32 sender, target, zero = 0;
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	struct link *l = bpf_map_lookup_elem(&links, &nic);
	__u64 content, second;
	struct nic *n = nic_of(nic, at, &content);
	struct arp a;

	if (!n || !l || !s || bpf_skb_load_bytes(skb, ETH_HLEN, &a, sizeof(a)))
		return DROP_ARP;
	if (a.hardware != bpf_htons(1) || a.protocol != bpf_htons(ETH_P_IP) || a.operation != bpf_htons(1))
		return DROP_ARP;
	__builtin_memcpy(&sender, a.sender, 4);
	__builtin_memcpy(&target, a.target, 4);
	if (!same_mac(a.sender_mac, n->mac) || (sender && !own_address(content, sender)))
		return DROP_SPOOFED;
	if (sender == target || own_address(content, target) || !(classify(n->vnet, target, at) & TAG_SPACE))
		return DROP_ARP;
	second = bpf_ktime_get_ns() / SECOND;
	if (l->arp_second != second) {
		l->arp_second = second;
		l->arp_count = 0;
	}
	if (l->arp_count++ >= s->arp_rate)
		return DROP_ARP;
	a.operation = bpf_htons(2);
	__builtin_memcpy(a.target_mac, a.sender_mac, 6);
	__builtin_memcpy(a.target, &sender, 4);
	__builtin_memcpy(a.sender_mac, FABRIC_MAC, 6);
	__builtin_memcpy(a.sender, &target, 4);
	if (write_macs(skb, a.target_mac) || bpf_skb_store_bytes(skb, ETH_HLEN, &a, sizeof(a), 0))
		return DROP_ARP;
	return 0;
}

/* To the receiver's port. `from` is the counting NIC: where the packet entered the fabric, else the receiver. */
static __always_inline int deliver(struct __sk_buff *skb, __u64 from, __u64 to, const __u8 *mac)
{
	struct link *l = bpf_map_lookup_elem(&links, &to);

	if (!l)
		return count(from, DROP_NOT_PLUGGED, 0);
	if (write_macs(skb, mac))
		return count(from, DROP_MALFORMED, 0);
	count(from, COUNT_DELIVERED, skb->len);
	return bpf_redirect_peer(l->ifindex, 0);
}

static __always_inline int deliver_outside(struct __sk_buff *skb, struct packet *p, __u64 from, __u32 source)
{
	__u32 zero = 0;
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);

	if (!s || !s->outside_ifindex)
		return count(from, DROP_NO_OUTBOUND, 0);
	if (translate(skb, p, AT_SOURCE, source) || write_macs(skb, s->outside_mac))
		return count(from, DROP_MALFORMED, 0);
	count(from, COUNT_DELIVERED, skb->len);
	return bpf_redirect(s->outside_ifindex, 0);
}

static __always_inline __u32 transit(__u64 nic, __u32 address)
{
	struct nic_private key = { .nic = nic, .address = address };
	__u32 *found = bpf_map_lookup_elem(&transit_of, &key);

	return found ? *found : 0;
}

/* From NIC to NIC within the virtual network, its peers, or by way of an appliance. */
static __noinline int to_nic(struct __sk_buff *skb, struct packet *p, struct side *sender, struct route *r)
{
	__u64 from = sender->key.nic, content, to;
	struct side receiver = {};
	struct nic *n;
	int why;

	to = nic_at(r->vnet, r->next_hop == HOP_APPLIANCE ? r->address : p->destination, p->epoch);
	n = nic_of(to, p->epoch, &content);
	if (!n)
		return count(from, DROP_NO_NIC, 0);
	if (!bpf_map_lookup_elem(&links, &to))
		return count(from, DROP_NOT_PLUGGED, 0);
	if (r->next_hop == HOP_APPLIANCE && !(n->flags & NIC_FORWARDING) && !own_address(content, p->destination))
		return count(from, DROP_NOT_FORWARDING, 0);
	why = admit(p, sender);
	if (why)
		return count(from, why, 0);
	look(&receiver, to, n, 0);
	receiver.source = p->source;
	receiver.destination = p->destination;
	receiver.key.tuple.near = p->flow.far;
	receiver.key.tuple.far = p->flow.near;
	receiver.key.tuple.near_port = p->flow.far_port;
	receiver.key.tuple.far_port = p->flow.near_port;
	receiver.key.tuple.protocol = p->flow.protocol;
	why = admit(p, &receiver);
	if (why)
		return count(to, why, 0);
	if (hold(p, sender))
		return count(from, DROP_FLOW_QUOTA, 0);
	if (hold(p, &receiver))
		return count(to, DROP_FLOW_QUOTA, 0);
	return deliver(skb, from, to, n->mac);
}

/* Machine to machine by public IP: both addresses change under way, and neither leaves the fabric. The receiver's
 * NIC and the addresses as it will see them stand in `receiver`. */
static __noinline int to_public(struct __sk_buff *skb, struct packet *p, struct side *sender, struct side *receiver)
{
	__u64 from = sender->key.nic, to = receiver->key.nic, content;
	struct nic *n = nic_of(to, p->epoch, &content);
	struct nic_address *a = n ? own_address(content, receiver->destination) : 0;
	struct tuple *t = &receiver->key.tuple;
	int why;

	if (!n || !a)
		return count(from, DROP_NO_NIC, 0);
	why = admit(p, sender);
	if (why)
		return count(from, why, 0);
	look(receiver, to, n, 0);
	receiver->seconds = a->idle_seconds;
	t->near = p->flow.far == p->destination ? receiver->destination : p->flow.far;
	t->far = p->flow.near == p->source ? receiver->source : p->flow.near;
	t->near_port = p->flow.far_port;
	t->far_port = p->flow.near_port;
	t->protocol = p->flow.protocol;
	why = admit(p, receiver);
	if (why)
		return count(to, why, 0);
	if (hold(p, sender))
		return count(from, DROP_FLOW_QUOTA, 0);
	if (hold(p, receiver))
		return count(to, DROP_FLOW_QUOTA, 0);
	if (translate(skb, p, AT_SOURCE, receiver->source) ||
	    translate(skb, p, AT_DESTINATION, receiver->destination))
		return count(from, DROP_MALFORMED, 0);
	return deliver(skb, from, to, n->mac);
}

/* Out by the address that stands for the source: its public IP, else its transit address. */
static __noinline int to_internet(struct __sk_buff *skb, struct packet *p, struct side *sender, __u64 content, __u32 flags)
{
	struct nic_address *a = own_address(content, p->source);
	struct side receiver = {};
	__u64 from = sender->key.nic, behind;
	__u32 source;
	int why;

	behind = nic_behind(p->destination, p->epoch, &receiver.destination);
	if (!behind && is_unreachable(p->destination))
		return count(from, DROP_PRIVATE_DESTINATION, 0);
	if (!a || (!a->public_address && !(flags & NIC_DEFAULT_OUTBOUND)))
		return count(from, DROP_NO_OUTBOUND, 0);
	if (behind && !bpf_map_lookup_elem(&links, &behind))
		return count(from, DROP_NOT_PLUGGED, 0);
	sender->seconds = a->idle_seconds;
	if (behind && a->public_address) {
		receiver.key.nic = behind;
		receiver.source = a->public_address;
		return to_public(skb, p, sender, &receiver);
	}
	why = admit(p, sender);
	if (why)
		return count(from, why, 0);
	if (hold(p, sender))
		return count(from, DROP_FLOW_QUOTA, 0);
	source = a->public_address ? a->public_address : transit(from, p->source);
	if (!source)
		return count(from, DROP_NO_OUTBOUND, 0);
	return deliver_outside(skb, p, from, source);
}

static __always_inline int forward(struct __sk_buff *skb, struct packet *p, __u64 me, struct nic *n, __u64 content)
{
	struct side sender = {};
	struct route *r;
	struct prefix_key key = { .length = 96, .address = p->destination };
	__u64 table = resolve(n->routes, p->epoch);

	key.content_low = (__u32)table;
	key.content_high = table >> 32;
	r = table ? bpf_map_lookup_elem(&routes, &key) : 0;
	if (!r || r->next_hop == HOP_NO_ROUTE)
		return count(me, DROP_NO_ROUTE, 0);
	if (r->next_hop == HOP_NONE)
		return count(me, DROP_ROUTE_NONE, 0);
	look(&sender, me, n, 1);
	sender.source = p->source;
	sender.destination = p->destination;
	sender.key.tuple = p->flow;
	if (r->next_hop == HOP_INTERNET)
		return to_internet(skb, p, &sender, content, n->flags);
	return to_nic(skb, p, &sender, r);
}

SEC("tc")
int port(struct __sk_buff *skb)
{
	struct packet p = { .epoch = read_epoch(), .now = bpf_ktime_get_boot_ns() };
	__u32 ifindex = skb->ifindex;
	__u64 *found = bpf_map_lookup_elem(&ports, &ifindex), me, content;
	struct ethhdr eth;
	struct nic *n;
	int why;

	if (!found)
		return count(0, DROP_UNKNOWN_PORT, 0);
	me = *found;
	n = nic_of(me, p.epoch, &content);
	if (!n)
		return count(me, DROP_UNKNOWN_PORT, 0);
	if (skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD))
		return count(me, DROP_VLAN, 0);
	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)))
		return count(me, DROP_MALFORMED, 0);
	if (!same_mac(eth.h_source, n->mac))
		return count(me, DROP_FOREIGN_MAC, 0);
	if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		why = answer_arp(skb, me, p.epoch);
		return why ? count(me, why, 0) : bpf_redirect(ifindex, 0);
	}
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return count(me, DROP_NOT_IP, 0);
	why = read_ip(skb, &p);
	if (why)
		return count(me, why, 0);
	if (!(n->flags & NIC_FORWARDING) && !own_address(content, p.source))
		return count(me, DROP_SPOOFED, 0);
	if (eth.h_dest[0] & 1 || is_multicast(p.destination))
		return count(me, DROP_MULTICAST, 0);
	why = read_l4(skb, &p, me);
	if (why)
		return count(me, why, 0);
	if (is_platform(p.destination)) { /* past routes and rules, known there by the transit address */
		__u32 source = own_address(content, p.source) ? transit(me, p.source) : 0;

		return source ? deliver_outside(skb, &p, me, source) : count(me, DROP_SPOOFED, 0);
	}
	if (p.destination == n->gateway)
		return count(me, DROP_GATEWAY, 0);
	return forward(skb, &p, me, n, content);
}

/* What comes in from outside, by a public IP or back to a transit address. */
SEC("tc")
int outside(struct __sk_buff *skb)
{
	struct packet p = { .epoch = read_epoch(), .now = bpf_ktime_get_boot_ns() };
	struct side receiver = {};
	__u32 private = 0;
	struct nic_address *a;
	__u64 to, content;
	struct nic *n;
	int why;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return count(0, skb->protocol == bpf_htons(ETH_P_ARP) ? DROP_ARP : DROP_NOT_IP, 0);
	why = read_ip(skb, &p);
	if (why)
		return count(0, why, 0);
	to = nic_behind(p.destination, p.epoch, &private);
	if (!to) {
		struct nic_private *t = bpf_map_lookup_elem(&transits, &p.destination);

		if (!t)
			return count(0, DROP_NO_NIC, 0);
		to = t->nic;
		private = t->address;
	}
	n = nic_of(to, p.epoch, &content);
	a = n ? own_address(content, private) : 0;
	if (!n || !a)
		return count(0, DROP_NO_NIC, 0);
	if (!bpf_map_lookup_elem(&links, &to))
		return count(0, DROP_NOT_PLUGGED, 0);
	if (!is_platform(p.source) && is_unreachable(p.source))
		return count(to, DROP_SPOOFED, 0);
	why = read_l4(skb, &p, 0);
	if (why)
		return count(to, why, 0);
	if (!is_platform(p.source)) {
		look(&receiver, to, n, 0);
		receiver.seconds = a->idle_seconds;
		receiver.source = p.source;
		receiver.destination = private;
		receiver.key.tuple.near = p.flow.far == p.destination ? private : p.flow.far;
		receiver.key.tuple.far = p.flow.near;
		receiver.key.tuple.near_port = p.flow.far_port;
		receiver.key.tuple.far_port = p.flow.near_port;
		receiver.key.tuple.protocol = p.flow.protocol;
		why = admit(&p, &receiver);
		if (why)
			return count(to, why, 0);
		if (hold(&p, &receiver))
			return count(to, DROP_FLOW_QUOTA, 0);
	}
	if (translate(skb, &p, AT_DESTINATION, private))
		return count(to, DROP_MALFORMED, 0);
	return deliver(skb, to, to, n->mac);
}

/* What is attached: a new version of the programs above takes over on every port by one write, without a gap. */
SEC("tc")
int port_entry(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &programs, 0);
	return TC_ACT_SHOT;
}

SEC("tc")
int outside_entry(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &programs, 1);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
