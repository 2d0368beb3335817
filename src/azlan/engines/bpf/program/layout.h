/* What the maps hold. The pin folder is named by the hash of this file: a change here means new maps.
 *
 * Addresses are in network order, ports in host order. A part id is the 64-bit hash of a part key; a content id
 * is the first half of a part's digest and names immutable table entries: they are written before any pointer
 * leads to them and deleted once none has for a while.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define MAX_RULES 8192 /* entries a rule table may have in one direction */

/* (old, new, epoch): new counts for packets whose epoch is at least `epoch`. `self` is the part id; it comes
 * first because a replaced element may be handed out again while a packet still reads it: who reads checks `self`
 * last. The rests are the other halves of the digests, for reading back. Content id 0: no such part. */
struct pointer {
	__u64 self, epoch, old_content, new_content, old_rest, new_rest;
};

struct place_key {
	__u64 vnet; /* part id */
	__u32 address, pad;
};
/* Whose address it is. `self` is the VNet's part id; the address is repeated for the same reason. */
struct place {
	__u64 self, epoch, old_nic, new_nic;
	__u32 address, pad;
};
struct public_place {
	__u64 self, epoch, old_nic, new_nic;
	__u32 old_private, new_private;
};

#define NIC_FORWARDING 1
#define NIC_DEFAULT_OUTBOUND 2
struct nic {
	__u64 vnet, routes, nic_rules, subnet_rules; /* part ids; 0: an open gate */
	__u32 gateway;
	__u8 mac[6];
	__u16 flags;
};
struct content_address {
	__u64 content;
	__u32 address, pad;
};
struct nic_address {
	__u32 public_address, idle_seconds; /* 0: no public IP */
};
struct nic_private {
	__u64 nic; /* part id */
	__u32 address, pad;
};

struct vnet {
	__u32 flow_seconds, withheld; /* withheld: some prefix carries TAG_WITHHELD */
};
#define TAG_WITHHELD 8
#define TAG_SPACE 0x80000000 /* the address is in the VNet's own space */
struct prefix_key {
	__u32 length; /* 64 + prefix length */
	__u32 content_low, content_high;
	__u32 address;
};

struct plain_prefix {
	__u32 length, address;
};

enum next_hop { HOP_NONE, HOP_NIC, HOP_APPLIANCE, HOP_INTERNET, HOP_NO_ROUTE };
struct route {
	__u64 vnet; /* part id */
	__u32 next_hop, address;
};

struct rule_key {
	__u64 content;
	__u32 outbound, index;
};
struct rule {
	__u32 source_set, destination_set; /* number of a set in `sets`; 0: none */
	__u32 source_tags, destination_tags;
	__u32 sources[2][2], destinations[2][2]; /* address, mask */
	__u16 source_ports[2][2], destination_ports[4][2]; /* first, last */
	__u8 protocol, allow, by_port, pad[5];
};
struct set_key {
	__u32 length; /* 96 + prefix length */
	__u32 content_low, content_high, number;
	__u32 address;
};

/* One flow as one NIC sees it: near is the NIC's side. ICMP echo: the asker's port is the id, the answerer's is 8. */
struct tuple {
	__u32 near, far;
	__u16 near_port, far_port;
	__u8 protocol, pad[3];
};
struct flow_key {
	__u64 nic;
	struct tuple tuple;
};
#define FLOW_FROM_NEAR 1
#define FLOW_FROM_FAR 2
#define FLOW_ACKNOWLEDGED 4 /* TCP: seen beyond its first packet */
#define FLOW_FIN_NEAR 8
#define FLOW_FIN_FAR 16
#define FLOW_RESET 32
struct flow {
	__u64 seen; /* ns since boot */
	__u32 seconds; /* how long it may be idle once established */
	__u32 state;
};
struct slot_key {
	__u64 nic;
	__u32 number, pad;
};

struct fragment_key {
	__u64 nic;
	__u32 source, destination;
	__u16 id;
	__u8 protocol, pad[5];
};
struct fragment {
	__u64 seen;
	__u32 end; /* bytes of payload so far */
	__u16 source_port, destination_port;
};

struct link {
	__u32 ifindex, arp_count;
	__u64 arp_second;
};
struct settings {
	__u32 outside_ifindex, flow_quota, arp_rate;
	__u8 outside_mac[6];
	__u8 pad[2];
};

#define COUNTERS 32
struct counters {
	struct {
		__u64 packets, bytes;
	} of[COUNTERS];
};

/* A drop that is told to user space: the first of its NIC and reason, then one in a while with how many there were. */
#define TELL_SECONDS 10
#define TOLD_BYTES 64
struct told_key {
	__u64 nic;
	__u32 reason, pad;
};
struct told {
	__u64 at, since; /* when last; packets dropped since */
};
struct drop {
	__u64 nic, packets;
	__u32 reason, bytes;
	__u32 vlan; /* tag that the kernel took off the frame, or 0 */
	__u32 length; /* of what follows: the packet's first bytes */
	__u8 head[TOLD_BYTES];
};

/* What a CPU found for packets from one port from one address to another: all that depends on the World and on what is
 * plugged alone. It holds for one epoch, one count of `plugs`, and a second at most. */
#define MEMOS 2048
#define MEMO_NS 1000000000ULL
struct memo {
	__u64 epoch, until;
	__u32 plugs, ifindex, source, destination;
	__u64 from, to; /* NICs' part ids */
	__u8 from_mac[6], to_mac[6];
	__u32 to_ifindex;
};

#define MAP(name_, type_, entries_, flags_, key_, value_)  \
	struct {                                           \
		__uint(type, type_);                       \
		__uint(max_entries, entries_);             \
		__uint(map_flags, flags_);                 \
		__type(key, key_);                         \
		__type(value, value_);                     \
	} name_ SEC(".maps")
#define HASH(name, entries, key, value) MAP(name, BPF_MAP_TYPE_HASH, entries, BPF_F_NO_PREALLOC, key, value)
#define LPM(name, entries, key, value) MAP(name, BPF_MAP_TYPE_LPM_TRIE, entries, BPF_F_NO_PREALLOC, key, value)

/* The one number that flips a change; user space stores it as one aligned word through mmap. */
MAP(epoch, BPF_MAP_TYPE_ARRAY, 1, BPF_F_MMAPABLE, __u32, __u64);
/* Raised, likewise, after every change of `ports` or `links`. */
MAP(plugs, BPF_MAP_TYPE_ARRAY, 1, BPF_F_MMAPABLE, __u32, __u64);
MAP(settings, BPF_MAP_TYPE_ARRAY, 1, 0, __u32, struct settings);
MAP(programs, BPF_MAP_TYPE_PROG_ARRAY, 2, 0, __u32, __u32);

HASH(pointers, 262144, __u64, struct pointer);
HASH(places, 262144, struct place_key, struct place);
HASH(publics, 65536, __u32, struct public_place);

HASH(nics, 131072, __u64, struct nic);
HASH(nic_addresses, 262144, struct content_address, struct nic_address);
HASH(vnets, 16384, __u64, struct vnet);
LPM(tags, 1048576, struct prefix_key, __u32);
LPM(routes, 1048576, struct prefix_key, struct route);
HASH(rules, 262144, struct rule_key, struct rule);
LPM(sets, 1048576, struct set_key, __u32);

/* Not of any World: what is plugged, and the transit address by which a NIC is known outside. */
HASH(ports, 131072, __u32, __u64);
HASH(links, 131072, __u64, struct link);
HASH(transit_of, 262144, struct nic_private, __u32);
HASH(transits, 262144, __u32, struct nic_private);
LPM(unreachable, 256, struct plain_prefix, __u32);

/* Observations. Each flow stands in one of its NIC's numbered slots; that is its quota. */
HASH(flows, 524288, struct flow_key, struct flow);
HASH(slots, 524288, struct slot_key, struct flow_key);
HASH(heads, 131072, __u64, __u64);
MAP(fragments, BPF_MAP_TYPE_LRU_HASH, 16384, 0, struct fragment_key, struct fragment);
MAP(counted, BPF_MAP_TYPE_PERCPU_HASH, 131072, BPF_F_NO_PREALLOC, __u64, struct counters);
MAP(told, BPF_MAP_TYPE_LRU_HASH, 4096, 0, struct told_key, struct told);
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 262144);
} drops SEC(".maps");
MAP(memos, BPF_MAP_TYPE_PERCPU_ARRAY, MEMOS, 0, __u32, struct memo);
