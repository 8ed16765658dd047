#include "kernels/device_opens.h"

enum { UNIT = 64 };

static uint64_t ceil_div(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit; }

void tw_device_open_place(tw_device_open *o, const tw_device_open *before) {
  o->message_words = o->bits ? o->words : ceil_div(o->n * o->width, UNIT);
  o->units = (uint32_t)ceil_div(o->words, UNIT);
  o->first_word = before ? before->first_word + before->sequences * before->message_words : 0;
  o->first_unit = before ? before->first_unit + before->sequences * before->units : 0;
}

void tw_device_message_add(tw_device_message *m, const tw_device_open *open) {
  m->open[m->count++] = *open;
  m->units = open->first_unit + open->sequences * open->units;
}

size_t tw_device_message_words(const tw_device_message *m) {
  if (m->count == 0) return 0;
  const tw_device_open *last = &m->open[m->count - 1];
  return last->first_word + last->sequences * last->message_words;
}

int tw_exchange_rounds(const tw_device_message *m, size_t round_words) {
  uint64_t rounds = ceil_div(tw_device_message_words(m), round_words);
  if (rounds > TW_EXCHANGE_ROUNDS) rounds = TW_EXCHANGE_ROUNDS;
  if (rounds > m->units) rounds = m->units;
  return rounds ? (int)rounds : 1;
}

int tw_exchange_blocks(const tw_device_message *m, const tw_mailbox *box) {
  uint64_t blocks = ceil_div(m->units, (uint64_t)box->warps);
  return blocks > (uint64_t)box->blocks ? box->blocks : blocks ? (int)blocks : 1;
}

// Words of the message before a unit.
static size_t word_of_unit(const tw_device_message *m, uint32_t unit) {
  for (int i = 0; i < m->count; i++) {
    const tw_device_open *o = &m->open[i];
    uint32_t at = unit - o->first_unit;
    if (at >= o->sequences * o->units) continue;
    return o->first_word + at / o->units * o->message_words + (size_t)(at % o->units) * (o->bits ? UNIT : o->width);
  }
  return tw_device_message_words(m);
}

size_t tw_exchange_word_of_round(const tw_device_message *m, int rounds, int round) {
  uint32_t unit = (uint32_t)((uint64_t)m->units * (uint64_t)round / (uint64_t)rounds);
  return word_of_unit(m, unit) + (size_t)round;
}

// A unit's packets begin at two thirds of its first word, and one further for every unit before.
int tw_exchange_is_small(const tw_device_message *m, const tw_mailbox *box) {
  return 2 * tw_device_message_words(m) / 3 + m->units < box->small_packets;
}
