/* Flows, per NIC: an observation that lets a packet pass its NIC's rules, never a condition.
 *
 * Expiry is checked on look-up. A NIC's flows stand in its numbered slots; a new flow takes the next slot whose
 * flow has expired, so that a flood fills the slots of its own NIC only and no process has to sweep.
 */
#pragma once

#include "packet.h"

#define OPENING_SECONDS 20 /* only one side was heard */
#define CLOSING_SECONDS 10
#define SHORT_SECONDS 30 /* ICMP, and datagrams nobody answered */
#define SLOT_TRIES 16

static __always_inline __u64 idle_limit(const struct flow *f, __u8 protocol)
{
	__u32 state = f->state, seconds = f->seconds;
	__u32 both = FLOW_FROM_NEAR | FLOW_FROM_FAR, closed = FLOW_FIN_NEAR | FLOW_FIN_FAR;

	if (protocol == IPPROTO_TCP) {
		if (state & FLOW_RESET || (state & closed) == closed)
			seconds = CLOSING_SECONDS;
		else if ((state & both) != both && !(state & FLOW_ACKNOWLEDGED))
			seconds = OPENING_SECONDS;
	} else if (protocol == IPPROTO_ICMP || (state & both) != both) {
		seconds = SHORT_SECONDS;
	}
	return seconds * SECOND;
}

static __always_inline int is_opening(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

static __always_inline __u32 observed(const struct packet *p, int outbound)
{
	__u32 state = outbound ? FLOW_FROM_NEAR : FLOW_FROM_FAR;

	if (p->protocol != IPPROTO_TCP)
		return state;
	if (p->tcp_flags & TCP_RST)
		state |= FLOW_RESET;
	if (p->tcp_flags & TCP_FIN)
		state |= outbound ? FLOW_FIN_NEAR : FLOW_FIN_FAR;
	if ((p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_ACK)
		state |= FLOW_ACKNOWLEDGED;
	return state;
}

/* Does this NIC hold the packet's flow? Touches it. A new handshake on a finished or established flow is a new flow. */
__noinline int know_flow(struct packet *p, struct flow_key *key, int outbound)
{
	if (!p || !key)
		return 0;
	struct flow *f = bpf_map_lookup_elem(&flows, key);
	__u32 state;

	if (!f || p->now - f->seen > idle_limit(f, key->tuple.protocol))
		return 0;
	if (p->quoting)
		return 1;
	if (is_opening(p) && f->state & (FLOW_ACKNOWLEDGED | FLOW_RESET | FLOW_FIN_NEAR | FLOW_FIN_FAR))
		return 0;
	state = observed(p, outbound);
	if ((f->state & state) != state)
		f->state |= state;
	if (p->now - f->seen > SECOND)
		f->seen = p->now;
	return 1;
}

/* Free a slot of the NIC: empty, or its flow is over. Its number, or -1. */
static __always_inline int find_slot(struct packet *p, __u64 nic, __u32 quota, struct slot_key *slot)
{
	__u64 *head = bpf_map_lookup_elem(&heads, &nic), zero = 0;
	int i;

	if (!head) {
		bpf_map_update_elem(&heads, &nic, &zero, BPF_NOEXIST);
		head = bpf_map_lookup_elem(&heads, &nic);
		if (!head)
			return -1;
	}
	slot->nic = nic;
	slot->pad = 0;
	for (i = 0; i < SLOT_TRIES; i++) {
		struct flow_key *held;
		struct flow *f;

		slot->number = (__u32)(__sync_fetch_and_add(head, 1) % quota);
		held = bpf_map_lookup_elem(&slots, slot);
		if (!held)
			return 0;
		f = bpf_map_lookup_elem(&flows, held);
		if (!f)
			return 0;
		if (p->now - f->seen > idle_limit(f, held->tuple.protocol)) {
			struct flow_key over = *held;

			bpf_map_delete_elem(&flows, &over);
			return 0;
		}
	}
	return -1;
}

/* The packet has passed: hold its flow. */
__noinline int hold_flow(struct packet *p, struct flow_key *key, int outbound, __u32 seconds)
{
	if (!p || !key)
		return DROP_FLOW_QUOTA;
	struct flow fresh = { .seen = p->now, .seconds = seconds, .state = observed(p, outbound) };
	struct flow *f = bpf_map_lookup_elem(&flows, key);
	struct settings *s;
	struct slot_key slot;
	__u32 zero = 0;

	if (f) { /* expired, or begun anew: it keeps its slot */
		f->state = fresh.state;
		f->seconds = seconds;
		f->seen = fresh.seen;
		return 0;
	}
	s = bpf_map_lookup_elem(&settings, &zero);
	if (!s || !s->flow_quota || find_slot(p, key->nic, s->flow_quota, &slot))
		return DROP_FLOW_QUOTA;
	if (bpf_map_update_elem(&flows, key, &fresh, BPF_ANY))
		return DROP_FLOW_QUOTA;
	if (bpf_map_update_elem(&slots, &slot, key, BPF_ANY)) {
		bpf_map_delete_elem(&flows, key);
		return DROP_FLOW_QUOTA;
	}
	return 0;
}
