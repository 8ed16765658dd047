// What a thread does in a chain's steps of bits: a part of kernels/chain_block.h, which includes it where its own words
// are there.
#ifndef TW_CHAIN_BITS_H
#define TW_CHAIN_BITS_H

// A warp takes 32 elements.
TW_BLOCK void digits(const tw_step_digits *a) {
  TW_ROLLED for (uint32_t half = block_thread() / 32; half < a->halves; half += TW_BLOCK_THREADS / 32) {
    uint32_t lane = block_lane(), j = 32 * half + lane;
    uint64_t bits = lanes_transposed(j < a->n ? a->X[j] - a->offset : 0);
    tw_half *to = (tw_half *)a->out + half * a->stride;
    if (lane < a->bits) to[lane] = (uint32_t)bits;
    if (lane + 32 < a->bits) to[lane + 32] = (uint32_t)(bits >> 32);
  }
}

// Of 32 elements: where number q of so many bits is the digit, and where it is above.
typedef struct {
  uint32_t equal, above;
} tw_block_order;
TW_BLOCK tw_block_order order_of(const tw_half *digit, uint32_t bits, uint32_t q) {
  tw_block_order o = {~0u, 0};
  TW_ROLLED for (uint32_t i = bits; i > 0; i--) {
    uint32_t bit = 0 - (q >> (i - 1) & 1), of_digit = digit[i - 1];
    o.above |= o.equal & ~of_digit & bit;
    o.equal &= ~(of_digit ^ bit);
  }
  return o;
}

// Shares of [c < a] or [c == a] of 32 elements from four entries of a one-hot, q-th of all such four: which of them are
// taken is public, all are read.
TW_BLOCK uint32_t quad_bits(const tw_half *digit, uint32_t width, int is_equal, const tw_half *hot, uint32_t stride,
                            uint32_t q) {
  tw_block_order o = order_of(digit + 2, width < 2 ? 0 : width - 2, q);
  uint32_t low = digit[0], high = width < 2 ? 0 : digit[1], sum = 0;
  TW_UNROLL for (uint32_t i = 0; i < 4; i++) {
    uint32_t same = (i & 1 ? low : ~low) & (i & 2 ? high : ~high);
    uint32_t before = i == 0 ? 0 : i == 1 ? ~(high | low) : i == 2 ? ~high : ~(high & low);
    uint32_t taken = is_equal ? o.equal & same : o.above | (o.equal & before);
    if (i < 2 || width > 1) sum ^= hot[(4 * q + i) * stride] & taken;
  }
  return sum;
}

// Part `part` of `parts` of a leaf's half word, i-th of all.
TW_BLOCK uint32_t leaf_part(const tw_step_leaves *a, uint32_t i, uint32_t part, uint32_t parts) {
  uint32_t halves = 2 * a->words, number = block_over(i, halves), half = i - number * halves, sum = 0;
  const int64_t *l = a->leaves + 3 * number;
  uint32_t width = (uint32_t)(l[2] & 0xff), kind = (uint32_t)(l[2] >> 8 & 0xff);
  const tw_half *digit = (const tw_half *)a->digits + l[0] + half * a->stride + l[1];
  const tw_half *hot = (const tw_half *)(a->onehot + (size_t)(l[2] >> 16) * a->words) + half;
  if (kind == TW_LEAF_SIGN) {
    uint32_t live = 32 * half < a->n ? (uint32_t)tw_low_bits(a->n - 32 * half) : 0;
    return part ? 0 : (*hot ^ (a->party ? 0 : ~*digit)) & live;
  }
  TW_ROLLED for (uint32_t q = part; 4 * q < 1u << width; q += parts) sum ^=
      quad_bits(digit, width, kind == TW_LEAF_EQ, hot, halves, q);
  return sum;
}

// A thread has a half word where there are enough, else several have parts of the one-hot.
TW_BLOCK void leaves(const tw_step_leaves *a) {
  uint32_t items = 2 * a->count * a->words, parts = 1, group = 32;
  TW_ROLLED for (; parts < a->quads && group > 1 && parts * items <= TW_BLOCK_THREADS; group /= 2) parts *= 2;
  uint32_t part = block_lane() / group;
  TW_ROLLED for (uint32_t first = block_thread() / 32 * group; first < items; first += TW_BLOCK_THREADS / 32 * group) {
    uint32_t i = first + block_lane() % group, bits = i < items ? leaf_part(a, i, part, parts) : 0;
    TW_ROLLED for (uint32_t step = group; step < 32; step *= 2) bits ^= (uint32_t)lane_value(bits, block_lane() ^ step);
    if (i < items && part == 0) ((tw_half *)a->out)[i] = bits;
  }
}

// One element's share of [c < a], [c == a] or of the sign: the digit is public, and so is which entries are read.
TW_BLOCK_ONCE uint32_t leaf_bit(const tw_leaves_args *a, const int64_t *leaf, uint32_t j) {
  const uint64_t *onehot = a->onehot + (size_t)(leaf[2] >> 16) * a->words + j / 64;
  const uint64_t u = (a->X[j] - (uint64_t)leaf[0]) & tw_ring_mask(a->ring);
  uint32_t width = (uint32_t)(leaf[2] & 0xff), kind = (uint32_t)(leaf[2] >> 8 & 0xff), words = (uint32_t)a->words;
  uint32_t last = (1u << width) - 1, c = (uint32_t)(u >> leaf[1]) & last;
  uint64_t sum = kind == TW_LEAF_SIGN ? *onehot : 0;
  if (kind == TW_LEAF_EQ) sum = onehot[c * words];
  if (kind == TW_LEAF_LT) TW_SEVERAL for (uint32_t p = c + 1; p <= last; p++) sum ^= onehot[p * words];
  uint32_t bit = (uint32_t)(sum >> j % 64) & 1;
  return kind == TW_LEAF_SIGN && !a->party ? bit ^ (uint32_t)(u >> (a->ring - 1) ^ 1) : bit;
}

// A lane an element, at most 16 of them.
TW_BLOCK void few_leaves(const tw_leaves_args *a) {
  uint32_t n = (uint32_t)a->n, lanes = lanes_for(n), lane = block_thread() % lanes, leaf = block_thread() / lanes;
  TW_ROLLED for (uint32_t first = 0; first < (uint32_t)a->count; first += TW_BLOCK_THREADS / lanes) {
    uint32_t i = first + leaf, there = i < (uint32_t)a->count && lane < n;
    uint32_t bits = lanes_vote(there ? leaf_bit(a, a->leaves + 3 * i, lane) : 0) >> (block_lane() - lane);
    if (i < (uint32_t)a->count && lane == 0) a->out[i] = bits & ((1u << lanes) - 1);
  }
}

TW_BLOCK uint64_t word_at(const tw_step_products *a, uint32_t place, uint32_t w) {
  uint64_t negated = 0 - (uint64_t)(place / TW_UNIT_NEGATED);
  return a->memory[place % TW_UNIT_NEGATED + w] ^ negated;
}

// Sets that differ in one literal meet: the one without it is multiplied by the literal's value.
TW_BLOCK uint64_t unit_sum(const tw_step_products *a, const uint16_t *unit, uint32_t w) {
  uint64_t sets[8], value[3];
  TW_UNROLL for (uint32_t i = 0; i < 3; i++) value[i] = word_at(a, unit[1 + i], w);
  TW_UNROLL for (uint32_t i = 0; i < 8; i++) sets[i] = word_at(a, unit[TW_UNIT_SHARES + i], w);
  TW_UNROLL for (uint32_t i = 0; i < 4; i++) sets[i] = sets[2 * i + 1] ^ (sets[2 * i] & value[0]);
  sets[0] = sets[1] ^ (sets[0] & value[1]);
  sets[1] = sets[3] ^ (sets[2] & value[1]);
  uint64_t sum = sets[1] ^ (sets[0] & value[2]);
  TW_ROLLED for (uint32_t i = 0; i < a->upper; i++) sum &= word_at(a, unit[TW_UNIT_UPPER + i], w);
  return sum;
}

// A thread a word of a unit. Lanes that add to the same word do so together.
TW_BLOCK void products(const tw_step_products *a) {
  uint32_t size = TW_UNIT_UPPER + a->upper, items = a->units * a->words;
  TW_ROLLED for (uint32_t i = block_thread(); i < a->planes * a->words; i += TW_BLOCK_THREADS) a->out[i] = 0;
  block_any(0);
  TW_ROLLED for (uint32_t first = block_thread() - block_lane(); first < items; first += TW_BLOCK_THREADS) {
    uint32_t i = first + block_lane(), u = a->words == 1 ? i : i / a->words, w = i - u * a->words, to = 0;
    uint64_t sum = 0;
    if (i < items) {
      to = a->list[u * size] * a->words + w;
      sum = unit_sum(a, a->list + u * size, w);
    }
    uint32_t first_to = (uint32_t)lane_value(to, 0);
    if (lanes_vote(i < items && to != first_to)) {
      if (i < items) xor_into(&a->out[to], sum);
      continue;
    }
    uint32_t low = lanes_xor((uint32_t)sum), high = lanes_xor((uint32_t)(sum >> 32));
    if (block_lane() == 0) xor_into(&a->out[to], (uint64_t)high << 32 | low);
  }
}

// A warp makes a word: its lanes look through the terms.
TW_BLOCK void parity(const tw_parity_args *a) {
  uint32_t words = (uint32_t)a->words, terms = (uint32_t)a->terms, items = (uint32_t)a->planes * words;
  TW_ROLLED for (uint32_t i = block_thread() / 32; i < items; i += TW_BLOCK_THREADS / 32) {
    uint32_t p = words == 1 ? i : i / words, w = i - p * words;
    uint64_t sum = 0;
    TW_ROLLED for (uint32_t k = block_lane(); k < terms; k += 32) {
      const int64_t *term = a->list + 3 * k;
      if ((uint32_t)term[0] == p) sum ^= a->value[term[1]][(uint32_t)term[2] * words + w];
    }
    uint32_t low = lanes_xor((uint32_t)sum), high = lanes_xor((uint32_t)(sum >> 32));
    uint64_t constant = a->mine && a->list[3 * terms + p] ? ~0ull : 0;
    if (block_lane() == 0) a->out[i] = constant ^ ((uint64_t)high << 32 | low);
  }
}

// Out of planes of one bit: a lane takes one.
TW_BLOCK void reshape_single(const tw_reshape_args *a) {
  uint32_t n = (uint32_t)a->n, halves = 2 * ((n + 63) / 64);
  TW_ROLLED for (uint32_t i = block_thread() / 32; i < (uint32_t)a->planes * halves; i += TW_BLOCK_THREADS / 32) {
    uint32_t p = block_over(i, halves), j = 32 * (i - p * halves) + block_lane();
    uint32_t bits = lanes_vote(j < n && (a->x[p * n + j] & 1));
    if (block_lane() == 0) ((tw_half *)a->out)[i] = bits;
  }
}

// Bits keep their flat order.
TW_BLOCK void reshape(const tw_reshape_args *a) {
  if (a->from == 1) {
    reshape_single(a);
    return;
  }
  uint32_t n = (uint32_t)a->n, words = (n + 63) / 64, from = (uint32_t)a->from, from_words = (from + 63) / 64;
  TW_ROLLED for (uint32_t i = block_thread(); i < (uint32_t)a->planes * words; i += TW_BLOCK_THREADS) {
    uint32_t p = i / words, first = 64 * (i - p * words), count = n - first < 64 ? n - first : 64;
    uint32_t plane = block_over(p * n + first, from), place = p * n + first - plane * from;
    uint64_t word = 0;
    TW_ROLLED for (uint32_t have = 0, taken; have < count; have += taken, plane++, place = 0) {
      taken = from - place < count - have ? from - place : count - have;
      word |= (tw_bits_from(a->x + plane * from_words, from_words, place) & tw_low_bits(taken)) << have;
    }
    a->out[i] = word;
  }
}

// A lane a pair of a row's group.
TW_BLOCK uint32_t is_dead(const tw_kill_args *a, uint32_t at) {
  uint32_t groups = (uint32_t)a->groups, rows = (uint32_t)a->rows, line = at / groups, i = 0;
  uint32_t pair = line / rows, row = line - pair * rows, group = (uint32_t)a->group;
  TW_ROLLED while (pair >= group - 1 - i) pair -= group - 1 - i++;
  uint32_t member = (uint32_t)a->first + (at - line * groups) * group + i + 1 + pair;
  return (int)member >= tw_live_members(a, 0, row);
}

TW_BLOCK void kill(const tw_kill_args *args, const tw_block_tile *t, uint32_t tokens) {
  tw_kill_args a = *args;
  if (a.live.lengths) a.live.lengths += t->sequence;
  uint32_t n = (uint32_t)(a.group * (a.group - 1) / 2 * a.rows * a.groups), halves = 2 * (uint32_t)a.words;
  a.live.first += (int)tokens;
  TW_ROLLED for (uint32_t half = block_thread() / 32; half < halves; half += TW_BLOCK_THREADS / 32) {
    uint32_t at = 32 * half + block_lane(), dead = lanes_vote(at < n && is_dead(&a, at));
    uint32_t bits = ((const tw_half *)a.x)[half];
    if (block_lane() == 0) ((tw_half *)a.out)[half] = a.mine ? bits | dead : bits & ~dead;
  }
}

// A thread's results of both tables.
TW_BLOCK void put_found(const tw_lookup_args *a, uint32_t j, const uint64_t sum[2]) {
  TW_UNROLL for (uint32_t i = 0; i < 2; i++) a->out[i][j] = (a->party ? 0 - sum[i] : sum[i]) & a->ring_out;
}

// The digit that is looked up, and `sub_bits` below it.
TW_BLOCK uint32_t fine_of(const tw_lookup_args *a, uint32_t j) {
  return (uint32_t)(((a->X[j] - a->offset) & tw_ring_mask(a->ring)) >> (a->low_bit - a->sub_bits));
}

// A warp an element.
TW_BLOCK void lookup_of_few(const tw_lookup_args *a) {
  uint32_t entries = 1u << a->width, places = (1u << (a->width + a->sub_bits)) - 1;
  TW_ROLLED for (uint32_t j = block_thread() / 32; j < (uint32_t)a->n; j += TW_BLOCK_THREADS / 32) {
    uint32_t fine = fine_of(a, j);
    uint64_t sum[2] = {0, 0};
    TW_SEVERAL for (uint32_t e = block_lane(); e < entries; e += 32) {
      uint64_t bit = tw_all_ones(tw_plane_bit(a->onehot + e * a->words, j));
      uint32_t at = (fine - (e << a->sub_bits)) & places;
      TW_UNROLL for (uint32_t i = 0; i < 2; i++) sum[i] += a->table[i][at] & bit;
    }
    TW_UNROLL for (uint32_t i = 0; i < 2; i++) sum[i] = lanes_sum(sum[i]);
    if (block_lane() == 0) put_found(a, j, sum);
  }
}

// Up to so many entries lie side by side in a thread: an element's one-hot.
enum { TW_HOT_WORDS = 4, TW_HOT_BITS = 8 };
typedef struct {
  uint64_t word[TW_HOT_WORDS];
} tw_block_hot;

TW_BLOCK uint64_t next_hot(tw_block_hot *hot, uint64_t last) {
  uint64_t first = hot->word[0];
  TW_UNROLL for (uint32_t k = 1; k < TW_HOT_WORDS; k++) hot->word[k - 1] = hot->word[k];
  hot->word[TW_HOT_WORDS - 1] = last;
  return first;
}

// `count` elements from `first` on, a power of two that divides `first`; lane i has element first + i % count. Fewer
// entries come again and again.
TW_BLOCK tw_block_hot hot_of(const tw_lookup_args *a, uint32_t first, uint32_t count) {
  uint32_t last_entry = (1u << a->width) - 1, some = ~0u >> (32 - count), again = ~0u / some;
  tw_block_hot hot = {{0}};
  TW_ROLLED for (uint32_t e = block_lane(); e < 1u << TW_HOT_BITS; e += 64) {
    uint64_t halves = 0;
    TW_UNROLL for (uint32_t i = 0; i < 2; i++) {
      const tw_half *plane = (const tw_half *)(a->onehot + ((e + 32 * i) & last_entry) * a->words);
      halves |= (uint64_t)((plane[first / 32] >> first % 32 & some) * again) << 32 * i;
    }
    next_hot(&hot, lanes_transposed(halves));
  }
  return hot;
}

// From entry `by` on, modulo all.
TW_BLOCK tw_block_hot turned_by(tw_block_hot from, uint32_t by) {
  tw_block_hot to;
  TW_UNROLL for (uint32_t step = 1; step < TW_HOT_WORDS; step *= 2) {
    TW_UNROLL for (uint32_t k = 0; k < TW_HOT_WORDS; k++) to.word[k] =
        by / 64 & step ? from.word[(k + step) % TW_HOT_WORDS] : from.word[k];
    from = to;
  }
  TW_UNROLL for (uint32_t k = 0; k < TW_HOT_WORDS; k++) to.word[k] =
      from.word[k] >> by % 64 | from.word[(k + 1) % TW_HOT_WORDS] << 1 << (63 - by % 64);
  return to;
}

// `count` elements a warp, whose threads have parts of the table. One-hots are turned by their public digits: so a
// warp's lanes are at the same entries of a part at the same time, but for the bits below the digit.
TW_BLOCK void lookup_of_many(const tw_lookup_args *a, uint32_t count) {
  enum { FOUR = 4 };  // entries without a jump
  uint32_t each = (count << a->width) / 32, part = block_lane() / count;
  TW_ROLLED for (uint32_t first = block_thread() / 32 * count; first < (uint32_t)a->n;
                 first += TW_BLOCK_THREADS / 32 * count) {
    uint32_t j = first + block_lane() % count, last = part * each + each - 1, there = j < (uint32_t)a->n;
    uint32_t fine = there ? fine_of(a, j) : 0, at = last << a->sub_bits | (fine & ((1u << a->sub_bits) - 1));
    tw_block_hot hot = turned_by(hot_of(a, first, count), ((fine >> a->sub_bits) - last) % (1u << TW_HOT_BITS));
    uint64_t sum[2] = {0, 0};
    TW_ROLLED for (uint32_t done = 0; done < each; done += 64) {
      uint64_t bits = next_hot(&hot, 0);
      TW_ROLLED for (uint32_t left = each < 64 ? each : 64; left; left -= FOUR) {
        TW_UNROLL for (uint32_t i = 0; i < FOUR; i++, at -= 1u << a->sub_bits, bits >>= 1) {
          uint32_t bit = 0 - ((uint32_t)bits & 1);
          TW_UNROLL for (uint32_t k = 0; k < 2; k++) sum[k] += a->table[k][at] & ((uint64_t)bit << 32 | bit);
        }
      }
    }
    TW_ROLLED for (uint32_t step = count; step < 32; step *= 2) {
      TW_UNROLL for (uint32_t k = 0; k < 2; k++) sum[k] += lane_value(sum[k], block_lane() ^ step);
    }
    if (there && part == 0) put_found(a, j, sum);
  }
}

// Every entry is read.
TW_BLOCK void lookup(const tw_lookup_args *a) {
  uint32_t n = (uint32_t)a->n, count = 32;  // elements of a warp
  TW_ROLLED while (count > 1 && 64 * n <= count * TW_BLOCK_THREADS && 256 <= count << a->width) count /= 2;
  if (count == 1 || a->width > TW_HOT_BITS || a->width < 2)
    lookup_of_few(a);
  else
    lookup_of_many(a, count);
}

#endif
