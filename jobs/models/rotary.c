#include "jobs/models/rotary.h"

#include <math.h>

static double scaled(const tw_rotary *r, double frequency) {
  if (r->kind == TW_ROTARY_LINEAR) return frequency / r->factor;
  if (r->kind != TW_ROTARY_LLAMA3) return frequency;
  double turns = r->original_positions * frequency / (2 * acos(-1));
  double kept = (turns - r->low_factor) / (r->high_factor - r->low_factor);
  kept = fmin(fmax(kept, 0), 1);
  return (1 - kept) * frequency / r->factor + kept * frequency;
}

void tw_rotary_frequencies(const tw_model_config *config, double *out) {
  int d = tw_config_head_dim(config);
  for (int c = 0; c < d / 2; c++) out[c] = scaled(&config->rotary, pow(config->rotary.theta, -2.0 * c / d));
}

void tw_rotary_turn(double *row, int heads, int head_dim, const double *frequencies, int token) {
  int half = head_dim / 2;
  for (int h = 0; h < heads; h++)
    for (int c = 0; c < half; c++) {
      double *x = row + (size_t)h * head_dim + c, *y = x + half, a = *x, b = *y;
      double cosine = cos(token * frequencies[c]), sine = sin(token * frequencies[c]);
      *x = a * cosine - b * sine;
      *y = b * cosine + a * sine;
    }
}
