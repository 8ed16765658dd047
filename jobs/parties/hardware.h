// What a party computes on: the CPU or one GPU, and how GPUs exchange.
#ifndef TW_HARDWARE_H
#define TW_HARDWARE_H

#include "comm/link.h"
#include "jobs/engine/engine.h"

typedef struct {
  tw_device_kind device;
  tw_transport transport;  // asked for
  tw_ways ways;            // that may serve between GPUs
  tw_channel *channel;     // between the parties; over the emulated link, if there is one
  tw_channel *link;
  tw_pair pair;         // where both parties compute
  int local_rank, gpu;  // among this host's parties; the GPU's index
  char pci[16];         // the GPU's address on the PCI bus; "": none
} tw_hardware;

// What the options in app/common_options.h say of a party.
typedef struct {
  const char *device, *transport, *affinity, *split_batch, *prepare;
  tw_link_profile link;  // --link-latency and --link-rate; 0 and 0: the link as it is
  double silence_limit;  // seconds
  // Of a party that has a job of its own; 0 and 0: it has one process.
  int local_process, processes;  // this one among those of its host; all
  int here;                      // of the job on this host, of both parties where they are ranks of one; 0: not known
} tw_party_words;

// TW_ERR_USAGE unless each is one that the functions below know. What a party's command line gets wrong is told to the
// other before either waits for it.
tw_status tw_hardware_check(const tw_party_words *w);
// The emulated link in words, "none" without.
void tw_hardware_link_text(const tw_party_words *w, char *text, size_t size);

// For a party alone, before the other one is there: whether this host has the device that it names.
tw_status tw_hardware_look(const tw_party_words *w);
// Which kind of device they mean here.
tw_status tw_hardware_kind(const tw_party_words *w, tw_device_kind *kind);
// Both parties call it first: whether they share a host.
tw_status tw_hardware_meet(tw_channel *channel, tw_hardware *h);
// After tw_hardware_meet: the device and, of a host's GPUs, this party's.
tw_status tw_hardware_choose(const tw_party_words *w, tw_hardware *h);
// Both parties call it: they must compute on the same kind of device; finds the ways to exchange, and selects the GPU.
tw_status tw_hardware_take(tw_channel *channel, tw_hardware *h);
// Both parties call it, after tw_hardware_take and before memory is taken or threads are started: finds cores, memory
// and network near the party's GPU, apart from a party on the same host, and (affinity "auto") binds this process
// there. text: the placement.
tw_status tw_hardware_place(tw_channel *channel, const tw_hardware *h, const tw_party_words *w, char *text,
                            size_t size);
// After tw_hardware_take: where a link is to be emulated h->channel becomes one over it. Both parties.
tw_status tw_hardware_link(tw_hardware *h, const tw_party_words *w);
// After tw_hardware_link: whether halves of a batch take turns.
tw_status tw_hardware_split(const tw_hardware *h, const tw_party_words *w, bool *halves);
// The same: whether preparation goes on during the online phase.
tw_status tw_hardware_prepare(const tw_hardware *h, const tw_party_words *w, bool *during);
void tw_hardware_release(tw_hardware *h);
// For one process alone: chooses and selects the GPU.
tw_status tw_hardware_alone(const char *device, tw_device_kind *chosen);

#endif
