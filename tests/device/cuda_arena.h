// Two twins of one memory, filled with the same random words: a case runs on both and the whole memories are compared,
// so that a wrong, a missing and a stray write all show.
#ifndef TW_CUDA_ARENA_H
#define TW_CUDA_ARENA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <functional>
#include <set>
#include <vector>

extern "C" {
#include "kernels/backend.h"
}

struct arena {
  unsigned char *host = nullptr, *device = nullptr;
  size_t size = 0, used = 0;
  uint64_t state[4];

  explicit arena(size_t bytes) : size(bytes) {
    tw_seed seed;
    tw_seed_random(&seed);
    memcpy(state, seed.key, sizeof state);
    host = (unsigned char *)aligned_alloc(4096, size);
    void *memory = nullptr;
    if (!host || tw_cuda_backend.alloc(size, &memory) != TW_OK) {
      fprintf(stderr, "cuda_kernels: %s\n", host ? tw_error_message() : "out of memory");
      exit(2);
    }
    device = (unsigned char *)memory;
  }

  // xoshiro256++ (Blackman, Vigna)
  uint64_t next() {
    const auto turn = [](uint64_t x, int k) { return x << k | x >> (64 - k); };
    const uint64_t result = turn(state[0] + state[3], 23) + state[0], t = state[1] << 17;
    state[2] ^= state[0], state[3] ^= state[1], state[1] ^= state[2], state[0] ^= state[3];
    state[2] ^= t;
    state[3] = turn(state[3], 45);
    return result;
  }
  uint64_t below(uint64_t n) { return next() % n; }
  int between(int low, int high) { return low + (int)below((uint64_t)(high - low + 1)); }

  // Random words; 8 of them lie between two arrays, so that a write past an end shows.
  uint64_t *words(size_t n, size_t misaligned = 0) {
    used = (used + 8 * 8 + 63) / 64 * 64 + 8 * misaligned;
    uint64_t *out = (uint64_t *)(host + used);
    used += 8 * n;
    handed_out.insert(out);
    if (used + 4096 > size) {
      fprintf(stderr, "cuda_kernels: the arena is too small\n");
      exit(2);
    }
    return out;
  }
  template <class type>
  type *list(const std::vector<type> &values) {
    type *out = (type *)words((values.size() * sizeof(type) + 7) / 8);
    settings.push_back([out, values] { memcpy(out, values.data(), values.size() * sizeof(type)); });
    return out;
  }
  std::vector<std::function<void()>> settings;  // what is not random
  std::set<const void *> handed_out;

  void clear() {
    used = 0;
    settings.clear();
    handed_out.clear();
  }
  size_t filled() const { return (used + 8 * 8 + 63) / 64 * 64; }
  void fill() {
    for (size_t i = 0; i < filled() / 8; i++) ((uint64_t *)host)[i] = next();
    for (const auto &set : settings) set();
  }

  template <class type>
  type *on_device(type *p) const {
    return handed_out.count(p) ? (type *)(device + ((const unsigned char *)p - host)) : p;
  }
  // A structure whose pointers into the host's memory point into the device's.
  template <class type>
  type on_device_args(const type &args) const {
    type copy;
    memcpy(&copy, &args, sizeof args);
    for (size_t i = 0; i + sizeof(void *) <= sizeof args; i += sizeof(void *)) {
      unsigned char *p;
      memcpy(&p, (char *)&copy + i, sizeof p);
      p = on_device(p);
      memcpy((char *)&copy + i, &p, sizeof p);
    }
    return copy;
  }
};

#endif
