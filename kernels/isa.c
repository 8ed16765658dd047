#include "kernels/isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int limit = TW_ISA_AVX512;
static atomic_int detected = -1;

static const char *const names[] = {"portable", "avx2", "avx512"};

// Other processors than x86 have the portable code (CMakeLists.txt defines TWAIN_X86).
static int cpu_best(void) {
#ifndef TWAIN_X86
  return TW_ISA_PORTABLE;
#else
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) return TW_ISA_PORTABLE;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return TW_ISA_AVX2;
  return TW_ISA_AVX512;
#endif
}

// A name that is not in the list means portable: a misspelt wish must not run instructions nobody asked for.
static int environment_limit(void) {
  const char *wish = getenv("TWAIN_ISA");
  if (!wish || !*wish) return TW_ISA_AVX512;
  for (int isa = TW_ISA_PORTABLE; isa <= TW_ISA_AVX512; isa++)
    if (strcmp(wish, names[isa]) == 0) return isa;
  return TW_ISA_PORTABLE;
}

tw_isa tw_isa_active(void) {
  int best = atomic_load_explicit(&detected, memory_order_relaxed);
  if (best < 0) {
    int cpu = cpu_best(), wish = environment_limit();
    best = cpu < wish ? cpu : wish;
    atomic_store_explicit(&detected, best, memory_order_relaxed);
  }
  int cap = atomic_load_explicit(&limit, memory_order_relaxed);
  return (tw_isa)(best < cap ? best : cap);
}

void tw_isa_limit(tw_isa highest) { atomic_store_explicit(&limit, (int)highest, memory_order_relaxed); }

const char *tw_isa_name(tw_isa isa) { return names[isa]; }
