/* Pointers resolved at the packet's epoch, addresses classified per VNet, and the gates of one NIC in one direction. */
#pragma once

#include "flows.h"

#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

/* A part's content at the packet's epoch; 0: there is none. A torn read shows in `self` and is tried again. */
__noinline __u64 resolve(__u64 part, __u64 at)
{
	int i;

	for (i = 0; i < 3; i++) {
		struct pointer *p = bpf_map_lookup_elem(&pointers, &part);
		__u64 since, before, after;

		if (!p)
			return 0;
		since = READ_ONCE(p->epoch);
		before = READ_ONCE(p->old_content);
		after = READ_ONCE(p->new_content);
		if (READ_ONCE(p->self) == part)
			return at >= since ? after : before;
	}
	return 0;
}

/* The part id of the NIC that has this private address in the VNet; 0: none. */
__noinline __u64 nic_at(__u64 vnet, __u32 address, __u64 at)
{
	struct place_key key = { .vnet = vnet, .address = address };
	int i;

	for (i = 0; i < 3; i++) {
		struct place *p = bpf_map_lookup_elem(&places, &key);
		__u64 since, before, after;

		if (!p)
			return 0;
		since = READ_ONCE(p->epoch);
		before = READ_ONCE(p->old_nic);
		after = READ_ONCE(p->new_nic);
		if (READ_ONCE(p->address) == address && READ_ONCE(p->self) == vnet)
			return at >= since ? after : before;
	}
	return 0;
}

/* The NIC behind a public address, with its private address; 0: none. */
__noinline __u64 nic_behind(__u32 address, __u64 at, __u32 *private)
{
	int i;

	if (!private)
		return 0;

	for (i = 0; i < 3; i++) {
		struct public_place *p = bpf_map_lookup_elem(&publics, &address);
		__u32 old_private, new_private;
		__u64 since, before, after;

		if (!p)
			return 0;
		since = READ_ONCE(p->epoch);
		before = READ_ONCE(p->old_nic);
		after = READ_ONCE(p->new_nic);
		old_private = READ_ONCE(p->old_private);
		new_private = READ_ONCE(p->new_private);
		if (READ_ONCE(p->self) == address) {
			*private = at >= since ? new_private : old_private;
			return at >= since ? after : before;
		}
	}
	return 0;
}

__noinline __u32 classify(__u64 vnet, __u32 address, __u64 at)
{
	__u64 content = resolve(vnet, at);
	struct prefix_key key = { .length = 96, .content_low = (__u32)content, .content_high = content >> 32,
				  .address = address };
	__u32 *found = content ? bpf_map_lookup_elem(&tags, &key) : 0;

	return found ? *found : 0;
}

struct question {
	__u64 content;
	__u32 outbound, source, destination, source_tags, destination_tags;
	__u16 source_port, destination_port;
	__u8 protocol, allow;
	__u8 service; /* it is a platform service that is asked for: only rules that name its tag say anything */
};

static __always_inline int in_set(__u64 content, __u32 number, __u32 address)
{
	struct set_key key = { .length = 128, .content_low = (__u32)content, .content_high = content >> 32,
			       .number = number, .address = address };

	return bpf_map_lookup_elem(&sets, &key) != 0;
}

static __always_inline int in_range(const __u16 *range, __u16 port)
{
	return port >= range[0] && port <= range[1];
}

static __always_inline int ports_match(const struct rule *r, const struct question *q)
{
	if (q->protocol != IPPROTO_TCP && q->protocol != IPPROTO_UDP)
		return 0;
	if (!in_range(r->source_ports[0], q->source_port) && !in_range(r->source_ports[1], q->source_port))
		return 0;
	return in_range(r->destination_ports[0], q->destination_port) ||
	       in_range(r->destination_ports[1], q->destination_port) ||
	       in_range(r->destination_ports[2], q->destination_port) ||
	       in_range(r->destination_ports[3], q->destination_port);
}

/* One rule: 1 ends the search. */
static long consider(__u32 index, struct question *q)
{
	struct rule_key key = { .content = q->content, .outbound = q->outbound, .index = index };
	struct rule *r = bpf_map_lookup_elem(&rules, &key);

	if (!r)
		return 1; /* past the last: denied */
	if (r->protocol && r->protocol != q->protocol)
		return 0;
	if (r->by_port && !ports_match(r, q))
		return 0;
	if (!(r->source_tags & q->source_tags) &&
	    (q->source & r->sources[0][1]) != r->sources[0][0] &&
	    (q->source & r->sources[1][1]) != r->sources[1][0] &&
	    !(r->source_set && in_set(q->content, r->source_set, q->source)))
		return 0;
	if (!(r->destination_tags & q->destination_tags) &&
	    (q->service || ((q->destination & r->destinations[0][1]) != r->destinations[0][0] &&
			    (q->destination & r->destinations[1][1]) != r->destinations[1][0] &&
			    !(r->destination_set && in_set(q->content, r->destination_set, q->destination)))))
		return 0;
	q->allow = r->allow;
	return 1;
}

/* bpf_loop wants the question on the stack of whoever calls it: so this is no function of its own. */
static __always_inline int ask(struct question *q, __u64 rules_part, __u64 at)
{
	if (!rules_part)
		return 1;
	q->content = resolve(rules_part, at);
	q->allow = q->content && q->service;
	if (q->content)
		bpf_loop(MAX_RULES, consider, q, 0);
	return q->allow;
}

/* One NIC's side of a packet: what it sees of it, and its rules. */
struct side {
	struct flow_key key;
	__u64 vnet, nic_rules, subnet_rules;
	__u32 source, destination, seconds;
	__u8 outbound, known;
};

static __always_inline void look(struct side *s, __u64 nic, const struct nic *n, int outbound)
{
	s->key.nic = nic;
	s->vnet = n->vnet;
	s->nic_rules = n->nic_rules;
	s->subnet_rules = n->subnet_rules;
	s->outbound = outbound;
}

/* A half of a peering with access off stops both directions at those NICs of its VNet that have no rules to ask.
 * Unlike rules it is asked for every packet: turning access off ends what runs. */
static __always_inline int is_withheld(struct packet *p, struct side *s)
{
	__u64 content;
	struct vnet *v;

	if (s->nic_rules || s->subnet_rules)
		return 0;
	content = resolve(s->vnet, p->epoch);
	v = content ? bpf_map_lookup_elem(&vnets, &content) : 0;
	if (!v || !v->withheld)
		return 0;
	return classify(s->vnet, s->outbound ? s->destination : s->source, p->epoch) & TAG_WITHHELD;
}

/* May the packet pass this side? 0, or why not. */
__noinline int admit(struct packet *p, struct side *s)
{
	if (!p || !s)
		return DROP_MALFORMED;
	struct question q = { .outbound = s->outbound, .source = s->source, .destination = s->destination,
			      .protocol = p->protocol };

	if (is_withheld(p, s))
		return DROP_PEER_ACCESS;
	s->known = know_flow(p, &s->key, s->outbound);
	if (s->known)
		return 0;
	if (p->quoting)
		return DROP_ICMP_ERROR;
	if (!s->nic_rules && !s->subnet_rules)
		return 0;
	q.source_tags = classify(s->vnet, s->source, p->epoch);
	q.destination_tags = classify(s->vnet, s->destination, p->epoch);
	q.source_port = s->outbound ? s->key.tuple.near_port : s->key.tuple.far_port;
	q.destination_port = s->outbound ? s->key.tuple.far_port : s->key.tuple.near_port;
	if (!ask(&q, s->outbound ? s->nic_rules : s->subnet_rules, p->epoch))
		return s->outbound ? DROP_NIC_OUT : DROP_SUBNET_IN;
	if (!ask(&q, s->outbound ? s->subnet_rules : s->nic_rules, p->epoch))
		return s->outbound ? DROP_SUBNET_OUT : DROP_NIC_IN;
	return 0;
}

/* The bits of contract/world.py. No address carries them, only rules. */
#define TAG_PLATFORM_DNS 16
#define TAG_PLATFORM_IMDS 32

/* May the NIC's packet pass to a platform service? 0, or why not. Asked of every packet, for no flow is held; an ICMP
 * error is none that asks for the service. */
__noinline int admit_service(struct packet *p, struct side *s, __u32 tag)
{
	if (!p || !s)
		return DROP_MALFORMED;
	struct question q = { .outbound = 1, .source = p->source, .destination = p->destination, .protocol = p->protocol,
			      .destination_tags = tag, .service = 1 };

	if (p->quoting || (!s->nic_rules && !s->subnet_rules))
		return 0;
	q.source_tags = classify(s->vnet, p->source, p->epoch);
	q.source_port = p->flow.near_port;
	q.destination_port = p->flow.far_port;
	if (!ask(&q, s->nic_rules, p->epoch))
		return DROP_NIC_OUT;
	return ask(&q, s->subnet_rules, p->epoch) ? 0 : DROP_SUBNET_OUT;
}

/* All sides have admitted the packet: hold the flow at this one. */
__noinline int hold(struct packet *p, struct side *s)
{
	if (!p || !s)
		return DROP_FLOW_QUOTA;
	__u32 seconds = s->seconds;

	if (s->known)
		return 0;
	if (!seconds) {
		__u64 content = resolve(s->vnet, p->epoch);
		struct vnet *v = content ? bpf_map_lookup_elem(&vnets, &content) : 0;

		seconds = v ? v->flow_seconds : 240;
	}
	return hold_flow(p, &s->key, s->outbound, seconds);
}
