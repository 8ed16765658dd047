// The physical limit of a ring product on this core: multiply-adds of registers, without memory.
#ifndef TW_APP_PEAK_H
#define TW_APP_PEAK_H

#include "kernels/isa.h"

// Multiply-adds a second mod 2^ring_bits with the instructions that the product of this ring uses (measured, about 20
// ms).
double tw_peak_macs(tw_isa isa, int ring_bits);

#endif
