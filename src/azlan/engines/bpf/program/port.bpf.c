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

/* The tag by which rules name what is asked for, as contract/platform.py has it; 0: no rule is asked. */
static __always_inline __u32 service_tag(const struct packet *p)
{
	if (p->destination == IMDS_ADDRESS)
		return TAG_PLATFORM_IMDS;
	return (p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_TCP) && p->flow.far_port == 53 ? TAG_PLATFORM_DNS : 0;
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

static __always_inline __u32 read_plugs(void)
{
	__u32 zero = 0;
	__u64 *now = bpf_map_lookup_elem(&plugs, &zero);

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
static __always_inline int deliver(struct __sk_buff *skb, __u64 from, const struct link *l, const __u8 *mac)
{
	if (write_macs(skb, mac))
		return drop(skb, from, DROP_MALFORMED);
	count(from, COUNT_DELIVERED, skb->len);
	return bpf_redirect_peer(l->ifindex, 0);
}

static __always_inline int deliver_outside(struct __sk_buff *skb, struct packet *p, __u64 from, __u32 source)
{
	__u32 zero = 0;
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);

	if (!s || !s->outside_ifindex)
		return drop(skb, from, DROP_NO_OUTBOUND);
	if (translate(skb, p, AT_SOURCE, source) || write_macs(skb, s->outside_mac))
		return drop(skb, from, DROP_MALFORMED);
	count(from, COUNT_DELIVERED, skb->len);
	return bpf_redirect(s->outside_ifindex, 0);
}

static __always_inline __u32 transit(__u64 nic, __u32 address)
{
	struct nic_private key = { .nic = nic, .address = address };
	__u32 *found = bpf_map_lookup_elem(&transit_of, &key);

	return found ? *found : 0;
}

static __always_inline struct memo *memo_of(__u32 ifindex, __u32 source, __u32 destination)
{
	__u32 mixed = (source ^ ifindex * 0x9e3779b1) * 0x85ebca6b ^ destination * 0xc2b2ae35, slot = (mixed >> 16) % MEMOS;

	return bpf_map_lookup_elem(&memos, &slot);
}

/* All sides let this packet through: those that follow from the same address to the same are delivered alike while
 * both sides know their flow. Nothing but the World and what is plugged goes into a memo. */
static __always_inline void remember(struct __sk_buff *skb, struct packet *p, __u64 from, __u64 to, const __u8 *mac,
				     __u32 to_ifindex)
{
	struct memo *m = memo_of(skb->ifindex, p->source, p->destination);

	if (!m || p->quoting || bpf_skb_load_bytes(skb, ETH_ALEN, m->from_mac, ETH_ALEN))
		return;
	m->epoch = p->epoch;
	m->until = p->now + MEMO_NS;
	m->plugs = p->plugs;
	m->ifindex = skb->ifindex;
	m->source = p->source;
	m->destination = p->destination;
	m->from = from;
	m->to = to;
	__builtin_memcpy(m->to_mac, mac, ETH_ALEN);
	m->to_ifindex = to_ifindex;
}

/* From NIC to NIC within the virtual network, its peers, or by way of an appliance. */
static __noinline int to_nic(struct __sk_buff *skb, struct packet *p, struct side *sides, struct route *r)
{
	struct side *sender = &sides[0], *receiver = &sides[1];
	__u64 from = sender->key.nic, content, to;
	struct tuple *t = &receiver->key.tuple;
	struct link *l;
	struct nic *n;
	int why;

	to = nic_at(r->vnet, r->next_hop == HOP_APPLIANCE ? r->address : p->destination, p->epoch);
	n = nic_of(to, p->epoch, &content);
	if (!n)
		return drop(skb, from, DROP_NO_NIC);
	l = bpf_map_lookup_elem(&links, &to);
	if (!l)
		return drop(skb, from, DROP_NOT_PLUGGED);
	if (r->next_hop == HOP_APPLIANCE && !(n->flags & NIC_FORWARDING) && !own_address(content, p->destination))
		return drop(skb, from, DROP_NOT_FORWARDING);
	why = admit(p, sender);
	if (why)
		return drop(skb, from, why);
	look(receiver, to, n, 0);
	receiver->source = p->source;
	receiver->destination = p->destination;
	t->near = p->flow.far;
	t->far = p->flow.near;
	t->near_port = p->flow.far_port;
	t->far_port = p->flow.near_port;
	t->protocol = p->flow.protocol;
	why = admit(p, receiver);
	if (why)
		return drop(skb, to, why);
	if (hold(p, sender))
		return drop(skb, from, DROP_FLOW_QUOTA);
	if (hold(p, receiver))
		return drop(skb, to, DROP_FLOW_QUOTA);
	remember(skb, p, from, to, n->mac, l->ifindex);
	return deliver(skb, from, l, n->mac);
}

/* Machine to machine by public IP: both addresses change under way, and neither leaves the fabric. The receiver's
 * NIC and the addresses as it will see them stand in `receiver`. */
static __noinline int to_public(struct __sk_buff *skb, struct packet *p, struct side *sides)
{
	struct side *sender = &sides[0], *receiver = &sides[1];
	__u64 from = sender->key.nic, to = receiver->key.nic, content;
	struct nic *n = nic_of(to, p->epoch, &content);
	struct nic_address *a = n ? own_address(content, receiver->destination) : 0;
	struct tuple *t = &receiver->key.tuple;
	struct link *l;
	int why;

	if (!n || !a)
		return drop(skb, from, DROP_NO_NIC);
	why = admit(p, sender);
	if (why)
		return drop(skb, from, why);
	look(receiver, to, n, 0);
	receiver->seconds = a->idle_seconds;
	t->near = p->flow.far == p->destination ? receiver->destination : p->flow.far;
	t->far = p->flow.near == p->source ? receiver->source : p->flow.near;
	t->near_port = p->flow.far_port;
	t->far_port = p->flow.near_port;
	t->protocol = p->flow.protocol;
	why = admit(p, receiver);
	if (why)
		return drop(skb, to, why);
	if (hold(p, sender))
		return drop(skb, from, DROP_FLOW_QUOTA);
	if (hold(p, receiver))
		return drop(skb, to, DROP_FLOW_QUOTA);
	if (translate(skb, p, AT_SOURCE, receiver->source) ||
	    translate(skb, p, AT_DESTINATION, receiver->destination))
		return drop(skb, from, DROP_MALFORMED);
	l = bpf_map_lookup_elem(&links, &to);
	return l ? deliver(skb, from, l, n->mac) : drop(skb, from, DROP_NOT_PLUGGED);
}

/* Out by the address that stands for the source: its public IP, else its transit address. 0: it is for `to_public`. */
static __noinline int to_internet(struct __sk_buff *skb, struct packet *p, struct side *sides, __u64 content, __u32 flags)
{
	struct nic_address *a = own_address(content, p->source);
	struct side *sender = &sides[0], *receiver = &sides[1];
	__u64 from = sender->key.nic, behind;
	__u32 source;
	int why;

	behind = nic_behind(p->destination, p->epoch, &receiver->destination);
	if (!behind && is_unreachable(p->destination))
		return drop(skb, from, DROP_PRIVATE_DESTINATION);
	if (!a || (!a->public_address && !(flags & NIC_DEFAULT_OUTBOUND)))
		return drop(skb, from, DROP_NO_OUTBOUND);
	if (behind && !bpf_map_lookup_elem(&links, &behind))
		return drop(skb, from, DROP_NOT_PLUGGED);
	sender->seconds = a->idle_seconds;
	if (behind && a->public_address) {
		receiver->key.nic = behind;
		receiver->source = a->public_address;
		return 0;
	}
	why = admit(p, sender);
	if (why)
		return drop(skb, from, why);
	if (hold(p, sender))
		return drop(skb, from, DROP_FLOW_QUOTA);
	source = a->public_address ? a->public_address : transit(from, p->source);
	if (!source)
		return drop(skb, from, DROP_NO_OUTBOUND);
	return deliver_outside(skb, p, from, source);
}

static __always_inline int forward(struct __sk_buff *skb, struct packet *p, __u64 me, struct nic *n, __u64 content)
{
	struct side sides[2] = {}, *sender = &sides[0]; /* the other is the receiver's */
	struct prefix_key key = { .length = 96, .address = p->destination };
	__u64 table = resolve(n->routes, p->epoch);
	struct route *r;
	int sent;

	key.content_low = (__u32)table;
	key.content_high = table >> 32;
	r = table ? bpf_map_lookup_elem(&routes, &key) : 0;
	if (!r || r->next_hop == HOP_NO_ROUTE)
		return drop(skb, me, DROP_NO_ROUTE);
	if (r->next_hop == HOP_NONE)
		return drop(skb, me, DROP_ROUTE_NONE);
	look(sender, me, n, 1);
	sender->source = p->source;
	sender->destination = p->destination;
	sender->key.tuple = p->flow;
	if (r->next_hop != HOP_INTERNET)
		return to_nic(skb, p, sides, r);
	sent = to_internet(skb, p, sides, content, n->flags);
	return sent ? sent : to_public(skb, p, sides);
}

static __always_inline int to_platform(struct __sk_buff *skb, struct packet *p, __u64 me, struct nic *n, __u32 source)
{
	__u32 tag = service_tag(p);
	struct side sender = {};
	int why;

	if (!source)
		return drop(skb, me, DROP_SPOOFED);
	look(&sender, me, n, 1);
	why = tag ? admit_service(p, &sender, tag) : 0;
	return why ? drop(skb, me, why) : deliver_outside(skb, p, me, source);
}

/* Read what may take the short way: a whole TCP or UDP packet or ICMP echo, its headers in one piece, with nothing odd
 * about it. Otherwise 0: the long way says what is wrong with it, if anything. */
static __always_inline int read_plain(struct __sk_buff *skb, struct packet *p, struct memo **found)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + IP_AT;
	__u16 *l4 = data + L4_AT;
	struct memo *m;

	if (skb->vlan_present || skb->protocol != bpf_htons(ETH_P_IP) || data + L4_AT + 8 > end)
		return 0;
	p->bytes = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl != 5 || ip->frag_off & bpf_htons(0x3fff) || eth->h_dest[0] & 1 ||
	    p->bytes < 28 || (__u32)p->bytes + ETH_HLEN > skb->len)
		return 0;
	m = memo_of(skb->ifindex, ip->saddr, ip->daddr);
	if (!m || m->epoch != p->epoch || m->plugs != p->plugs || m->ifindex != skb->ifindex ||
	    m->source != ip->saddr || m->destination != ip->daddr || p->now > m->until ||
	    !same_mac(eth->h_source, m->from_mac))
		return 0;
	p->protocol = ip->protocol;
	if (ip->protocol == IPPROTO_TCP) {
		if (data + L4_AT + 20 > end || p->bytes < 40)
			return 0;
		p->tcp_flags = ((__u8 *)l4)[13];
	}
	if (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) {
		p->flow.near_port = bpf_ntohs(l4[0]);
		p->flow.far_port = bpf_ntohs(l4[1]);
	} else if (ip->protocol == IPPROTO_ICMP && (*(__u8 *)l4 == 8 || *(__u8 *)l4 == 0)) {
		icmp_ports(*(__u8 *)l4, bpf_ntohs(l4[2]), &p->flow.near_port, &p->flow.far_port);
	} else {
		return 0;
	}
	p->flow.near = ip->saddr;
	p->flow.far = ip->daddr;
	p->flow.protocol = ip->protocol;
	*found = m;
	return 1;
}

/* The short way of a packet whose addresses this CPU remembers and whose flow both sides know. 0: not this one. */
static __noinline int deliver_known(struct __sk_buff *skb, struct packet *p)
{
	struct flow_key near = {}, far = {};
	struct memo *m;

	if (!read_plain(skb, p, &m))
		return 0;
	near.nic = m->from;
	near.tuple = p->flow;
	far.nic = m->to;
	far.tuple.near = p->flow.far;
	far.tuple.far = p->flow.near;
	far.tuple.near_port = p->flow.far_port;
	far.tuple.far_port = p->flow.near_port;
	far.tuple.protocol = p->flow.protocol;
	if (!know_flow(p, &near, 1) || !know_flow(p, &far, 0) || write_macs(skb, m->to_mac))
		return 0;
	count(m->from, COUNT_DELIVERED, skb->len);
	return bpf_redirect_peer(m->to_ifindex, 0);
}

static __always_inline int deliver_new(struct __sk_buff *skb, struct packet *p)
{
	__u32 ifindex = skb->ifindex;
	__u64 *found = bpf_map_lookup_elem(&ports, &ifindex), me, content;
	struct ethhdr eth;
	struct nic *n;
	int why;

	if (!found)
		return drop(skb, 0, DROP_UNKNOWN_PORT);
	me = *found;
	n = nic_of(me, p->epoch, &content);
	if (!n)
		return drop(skb, me, DROP_UNKNOWN_PORT);
	if (skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD))
		return drop(skb, me, DROP_VLAN);
	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)))
		return drop(skb, me, DROP_MALFORMED);
	if (!same_mac(eth.h_source, n->mac))
		return drop(skb, me, DROP_FOREIGN_MAC);
	if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		why = answer_arp(skb, me, p->epoch);
		return why ? drop(skb, me, why) : bpf_redirect(ifindex, 0);
	}
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return drop(skb, me, DROP_NOT_IP);
	why = read_ip(skb, p);
	if (why)
		return drop(skb, me, why);
	if (!(n->flags & NIC_FORWARDING) && !own_address(content, p->source))
		return drop(skb, me, DROP_SPOOFED);
	if (eth.h_dest[0] & 1 || is_multicast(p->destination))
		return drop(skb, me, DROP_MULTICAST);
	why = read_l4(skb, p, me);
	if (why)
		return drop(skb, me, why);
	if (is_platform(p->destination)) /* past routes and most rules, known there by the transit address */
		return to_platform(skb, p, me, n, own_address(content, p->source) ? transit(me, p->source) : 0);
	if (p->destination == n->gateway)
		return drop(skb, me, DROP_GATEWAY);
	return forward(skb, p, me, n, content);
}

SEC("tc")
int port(struct __sk_buff *skb)
{
	struct packet p = { .epoch = read_epoch(), .plugs = read_plugs(), .now = bpf_ktime_get_boot_ns() };
	int sent = deliver_known(skb, &p);

	return sent ? sent : deliver_new(skb, &p);
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
	struct link *l;
	struct nic *n;
	int why;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return drop(skb, 0, skb->protocol == bpf_htons(ETH_P_ARP) ? DROP_ARP : DROP_NOT_IP);
	why = read_ip(skb, &p);
	if (why)
		return drop(skb, 0, why);
	to = nic_behind(p.destination, p.epoch, &private);
	if (!to) {
		struct nic_private *t = bpf_map_lookup_elem(&transits, &p.destination);

		if (!t)
			return drop(skb, 0, DROP_NO_NIC);
		to = t->nic;
		private = t->address;
	}
	n = nic_of(to, p.epoch, &content);
	a = n ? own_address(content, private) : 0;
	if (!n || !a)
		return drop(skb, 0, DROP_NO_NIC);
	l = bpf_map_lookup_elem(&links, &to);
	if (!l)
		return drop(skb, 0, DROP_NOT_PLUGGED);
	if (!is_platform(p.source) && is_unreachable(p.source))
		return drop(skb, to, DROP_SPOOFED);
	why = read_l4(skb, &p, 0);
	if (why)
		return drop(skb, to, why);
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
			return drop(skb, to, why);
		if (hold(&p, &receiver))
			return drop(skb, to, DROP_FLOW_QUOTA);
	}
	if (translate(skb, &p, AT_DESTINATION, private))
		return drop(skb, to, DROP_MALFORMED);
	return deliver(skb, to, l, n->mac);
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
