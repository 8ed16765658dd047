#include "jobs/parties/hardware.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/placement.h"
#include "kernels/device.h"

// ---- words

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

// What an option may be, and what that was called before 0.2, in the same order.
typedef struct {
  const char *option;
  const char *const *words, *const *before;
} choice;

static const choice device_words = {"device", WORDS("auto", "cpu", "cuda"), WORDS(NULL)};  // as tw_device_kind
static const choice transport_words = {"transport", tw_transport_words,
                                       WORDS("auto", "peer", "nccl", "mpi", "mpi-p2p", "mpi-cuda")};
static const choice split_words = {"split-batch", WORDS("never", "always", "auto"), WORDS(NULL)};
static const choice prepare_words = {"prepare", WORDS("before", "during", "auto"), WORDS("first", "beside")};
static const choice affinity_words = {"affinity", WORDS("auto", "none"), WORDS(NULL)};

static int index_of(const char *const *words, const char *word) {
  for (int i = 0; words[i]; i++)
    if (strcmp(words[i], word) == 0) return i;
  return -1;
}

static tw_status choose(const choice *c, const char *word, int *index) {
  char words[120] = "";
  *index = index_of(c->words, word);
  if (*index >= 0) return TW_OK;
  int before = index_of(c->before, word);
  if (before >= 0) return tw_fail(TW_ERR_USAGE, "--%s %s: is %s now", c->option, word, c->words[before]);
  for (int i = 0, used = 0; c->words[i]; i++) {
    const char *between = i == 0 ? "" : c->words[i + 1] ? ", " : " or ";
    used += snprintf(words + used, sizeof words - (size_t)used, "%s%s", between, c->words[i]);
  }
  return tw_fail(TW_ERR_USAGE, "unknown --%s '%s'; use %s", c->option, word, words);
}

tw_status tw_hardware_check(const tw_party_words *w) {
  int index;
  TW_TRY(choose(&device_words, w->device, &index));
  TW_TRY(choose(&transport_words, w->transport, &index));
  TW_TRY(choose(&affinity_words, w->affinity, &index));
  TW_TRY(choose(&split_words, w->split_batch, &index));
  return choose(&prepare_words, w->prepare, &index);
}

static bool emulated(const tw_link_profile *p) { return p->latency_seconds > 0 || p->bytes_per_second > 0; }

void tw_hardware_link_text(const tw_party_words *w, char *text, size_t size) {
  const tw_link_profile *p = &w->link;
  if (!emulated(p))
    snprintf(text, size, "none");
  else if (p->bytes_per_second > 0)
    snprintf(text, size, "%.9g us, %.9g Gbit/s", 1e6 * p->latency_seconds, 8e-9 * p->bytes_per_second);
  else
    snprintf(text, size, "%.9g us, no limit of the rate", 1e6 * p->latency_seconds);
}

tw_status tw_hardware_choose(const tw_party_words *w, tw_hardware *h) {
  int device, transport;
  TW_TRY(choose(&device_words, w->device, &device));
  TW_TRY(choose(&transport_words, w->transport, &transport));
  h->transport = (tw_transport)transport;
  if (w->processes > 1) h->local_rank = h->local_rank * w->processes + w->local_process;
  return tw_device_choose((tw_device_kind)device, h->local_rank, &h->device, &h->gpu);
}

tw_status tw_hardware_kind(const tw_party_words *w, tw_device_kind *kind) {
  int wanted, gpu;
  TW_TRY(choose(&device_words, w->device, &wanted));
  return tw_device_choose((tw_device_kind)wanted, w->local_process, kind, &gpu);
}

tw_status tw_hardware_look(const tw_party_words *w) {
  tw_device_kind device;
  return tw_hardware_kind(w, &device);
}

tw_status tw_hardware_alone(const char *device, tw_device_kind *chosen) {
  int wanted, gpu;
  TW_TRY(choose(&device_words, device, &wanted));
  TW_TRY(tw_device_choose((tw_device_kind)wanted, 0, chosen, &gpu));
#ifdef TWAIN_CUDA
  if (*chosen == TW_DEVICE_CUDA) return tw_device_select(gpu);
#endif
  return TW_OK;
}

// What the other party must know to choose the same transport.
typedef struct {
  char pci[16];
  int device, nccl, transport;
} hardware_place;

tw_status tw_hardware_link(tw_hardware *h, const tw_party_words *w) {
  if (!emulated(&w->link)) return TW_OK;
  bool relayed = h->transport == TW_TRANSPORT_AUTO || h->transport == TW_TRANSPORT_HOST_RELAY;
  if (h->device == TW_DEVICE_CUDA && !relayed)
    return tw_fail(TW_ERR_USAGE,
                   "--link-latency and --link-rate slow messages of the host; use them with --transport host-relay, "
                   "not %s",
                   tw_transport_word(h->transport));
  TW_TRY(tw_link_emulate(h->channel, &w->link, &h->link));
  h->channel = h->link;
  h->pair.link = true;
  h->ways = tw_ways_between(&h->pair, h->transport);
  return TW_OK;
}

tw_status tw_hardware_split(const tw_hardware *h, const tw_party_words *words, bool *halves) {
  int w;
  TW_TRY(choose(&split_words, words->split_batch, &w));
  *halves = w == 2 ? tw_ways_wait(&h->pair, &h->ways) : w;
  return TW_OK;
}

tw_status tw_hardware_prepare(const tw_hardware *h, const tw_party_words *words, bool *during) {
  int w;
  TW_TRY(choose(&prepare_words, words->prepare, &w));
  *during = w == 2 ? tw_ways_leave_idle(&h->pair, &h->ways) : w;
  return TW_OK;
}

void tw_hardware_release(tw_hardware *h) {
  tw_channel_destroy(h->link);
  h->link = NULL;
}

static tw_status nonsense(const tw_channel *channel, const char *what) {
  return tw_fail(TW_ERR_PEER,
                 "party %d sent %s that no twain sends: it was damaged on the way, or comes from another program",
                 1 - channel->party, what);
}

static bool ends(const char *text, size_t size) { return memchr(text, '\0', size) != NULL; }

tw_status tw_hardware_meet(tw_channel *channel, tw_hardware *h) {
  char mine[256] = {0}, theirs[256];
  gethostname(mine, sizeof mine - 1);
  TW_TRY(tw_channel_exchange(channel, mine, theirs, sizeof mine));
  if (!ends(theirs, sizeof theirs)) return nonsense(channel, "a host's name");
  *h = (tw_hardware){.channel = channel};
  h->pair.one_host = strcmp(mine, theirs) == 0;
  h->pair.sites = !channel->mpi;
  h->local_rank = h->pair.one_host ? channel->party : 0;
  return TW_OK;
}

static tw_status check_theirs(const tw_channel *channel, const hardware_place *p) {
  bool words = ends(p->pci, sizeof p->pci) && p->pci[strspn(p->pci, "0123456789abcdefABCDEF:.")] == '\0';
  bool device = p->device == TW_DEVICE_CPU || p->device == TW_DEVICE_CUDA;
  bool transport = p->transport >= 0 && p->transport < TW_TRANSPORTS;
  if (words && device && transport && (p->nccl == 0 || p->nccl == 1)) return TW_OK;
  return nonsense(channel, "a description of its hardware");
}

static tw_status take_gpu(tw_hardware *h) {
  memset(h->pci, 0, sizeof h->pci);
#ifdef TWAIN_CUDA
  if (h->device == TW_DEVICE_CUDA) {
    TW_TRY(tw_device_select(h->gpu));
    return tw_device_pci(h->pci);
  }
#endif
  return TW_OK;
}

// Whether two GPUs of this host reach each other's memory, as far as both parties see.
static tw_status find_reach(tw_channel *channel, const char *other_gpu, tw_pair *p) {
  int mine = -1, theirs;
#ifdef TWAIN_CUDA
  mine = tw_device_reaches(other_gpu);
#else
  (void)other_gpu;
#endif
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  if (theirs < -1 || theirs > 1) return nonsense(channel, "an answer about its GPU's reach");
  p->apart = mine == 0 || theirs == 0;
  p->unseen = mine < 0 || theirs < 0;
  return TW_OK;
}

static tw_status check_transport(const tw_hardware *h) {
  if (h->transport != TW_TRANSPORT_AUTO && h->device != TW_DEVICE_CUDA)
    return tw_fail(TW_ERR_USAGE, "--transport %s goes between GPUs; on the CPU leave it out",
                   tw_transport_word(h->transport));
  if (h->pair.sites && h->transport != TW_TRANSPORT_AUTO && h->transport != TW_TRANSPORT_HOST_RELAY)
    return tw_fail(TW_ERR_USAGE, "--transport %s goes between ranks of one MPI job; two jobs have host-relay",
                   tw_transport_word(h->transport));
  if (h->transport == TW_TRANSPORT_NCCL && h->pair.one_gpu)
    return tw_fail(TW_ERR_USAGE, "--transport nccl needs a GPU of its own for each party; use --transport host-window");
  return TW_OK;
}

tw_status tw_hardware_take(tw_channel *channel, tw_hardware *h) {
  hardware_place mine = {.device = (int)h->device, .transport = (int)h->transport}, theirs;
#ifdef TWAIN_NCCL
  mine.nccl = 1;
#endif
  tw_status taken = take_gpu(h);
  memcpy(mine.pci, h->pci, sizeof mine.pci);
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  TW_TRY(taken);
  TW_TRY(check_theirs(channel, &theirs));
  if (mine.device != theirs.device)
    return tw_fail(TW_ERR_MISMATCH,
                   "one party computes on a GPU, the other on its CPU; say --device cpu, or give both a GPU");
  if (mine.transport != theirs.transport)
    return tw_fail(TW_ERR_MISMATCH, "the parties differ in transport: party %d has %s, party %d has %s; give both one",
                   channel->party, tw_transport_word(h->transport), 1 - channel->party,
                   tw_transport_word((tw_transport)theirs.transport));
  if (*mine.pci && !*theirs.pci) return tw_fail(TW_ERR_PEER, "the other party cannot take its GPU; see its message");
  tw_pair *p = &h->pair;
  p->gpus = *mine.pci;
  p->nccl = mine.nccl && theirs.nccl;
  p->one_gpu = p->gpus && p->one_host && strcmp(mine.pci, theirs.pci) == 0;
  if (p->gpus && p->one_host && !p->one_gpu) TW_TRY(find_reach(channel, theirs.pci, p));
  TW_TRY(check_transport(h));
  h->ways = tw_ways_between(p, h->transport);
  return TW_OK;
}

// ---- placement

typedef struct {
  char cores[768];
  int failed, bind;
} core_place;

// Parties of one host that would run on the same cores share them out.
static tw_status place(tw_channel *channel, const tw_hardware *h, bool bind, tw_placement *p) {
  core_place mine = {{0}, 0, bind}, theirs;
  tw_status found = tw_placement_find(*h->pci ? h->pci : NULL, p);
  if (found == TW_OK) tw_placement_cores(p, mine.cores, sizeof mine.cores);
  mine.failed = found != TW_OK;
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  TW_TRY(found);
  if (!ends(theirs.cores, sizeof theirs.cores)) return nonsense(channel, "a list of cores");
  if (theirs.failed)
    return tw_fail(TW_ERR_PEER, "the other party does not find its place on its machine; see its message");
  bool same = h->pair.one_host && strncmp(mine.cores, theirs.cores, sizeof mine.cores) == 0;
  if (bind && theirs.bind && same) tw_placement_halve(p, channel->party);
  if (bind) tw_placement_bind(p);
  return TW_OK;
}

tw_status tw_hardware_place(tw_channel *channel, const tw_hardware *h, const tw_party_words *w, char *text,
                            size_t size) {
  tw_placement p = {.bound = false};
  int mode;
  TW_TRY(choose(&affinity_words, w->affinity, &mode));
  tw_status status = place(channel, h, mode == 0, &p);
  if (status == TW_OK) tw_placement_text(&p, text, size);
  tw_placement_free(&p);
  return status;
}
