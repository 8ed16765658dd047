// Which instruction sets the kernels may use: the best the CPU has, lowered by the
// environment variable TWAIN_ISA=portable|avx2|avx512 or by tw_isa_limit (tests).
#ifndef TW_ISA_H
#define TW_ISA_H

typedef enum { TW_ISA_PORTABLE = 0, TW_ISA_AVX2 = 1, TW_ISA_AVX512 = 2 } tw_isa;

tw_isa tw_isa_active(void);
void tw_isa_limit(tw_isa highest);
const char *tw_isa_name(tw_isa isa);  // "portable", "avx2", "avx512"

#endif
