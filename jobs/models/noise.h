// Noise by which a token is drawn. Where g_i = -ln(-ln U_i) are independent of each other (Gumbel), the largest of
// l_i + T g_i has the probabilities of softmax(l / T): Maddison, Tarlow, Minka, "A* sampling", NeurIPS 2014, section 2.
#ifndef TW_NOISE_H
#define TW_NOISE_H

#include "jobs/program/program.h"

enum {
  TW_NOISE_LARGEST = 46,
  TW_NOISE_LEAST = 4,  // g lies in -ln(65 ln 2) .. 65 ln 2
  TW_MOST_TEMPERATURE = 100
};

// The plan's tables for tw_add_noise: T g in units of a product's scale. Off by less than 2^-14 T and a unit. Made
// once, by `plan`: the dealer does integer arithmetic alone, so dealers on a CPU and on a GPU draw the same.
extern const char tw_noise_base[], tw_noise_slope[];
tw_status tw_noise_tables(double temperature, tw_table out[2]);

#endif
