// Added and special tokens of a folder, numbered as transformers numbers them.
#define _GNU_SOURCE
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/text_rules_parts.h"

typedef struct {
  tw_text_reader *r;
  const char *file;  // where the tokens at hand come from
  int highest;       // id of those added so far; -1: none
  bool *taken;       // ids of pieces
} numbering;

static const tw_added_token *find(const tw_text_rules *rules, const char *text) {
  for (int i = 0; i < rules->added_count; i++)
    if (strcmp(rules->added[i].text, text) == 0) return &rules->added[i];
  return NULL;
}

static bool same_flags(const tw_added_token *a, const tw_added_token *b) {
  return a->normalised == b->normalised && a->single_word == b->single_word && a->strip_left == b->strip_left &&
         a->strip_right == b->strip_right;
}

// A token that is a piece keeps its id; the others get the next ones behind the vocabulary, whatever the file says.
static int next_id(const numbering *n, const char *text) {
  int known = tw_piece_id(n->r, text), pieces = (int)json_object_size(n->r->ids);
  if (known >= 0) return known;
  return n->highest >= pieces ? n->highest + 1 : pieces;
}

// Where vocab.txt has a piece twice, "behind the vocabulary" is the id of another piece: transformers then gives the
// wrong token's embedding without a word. The id that the folder names is the right one there.
static tw_status choose_id(const numbering *n, const char *text, json_int_t declared, int *id) {
  const tw_text_reader *r = n->r;
  *id = next_id(n, text);
  if (declared >= 0 && declared == *id) return TW_OK;
  if (tw_piece_id(r, text) < 0 && *id < r->vocab_size && n->taken[*id]) {
    if (declared <= n->highest || declared >= r->vocab_size || n->taken[declared])
      return tw_fail(
          TW_ERR_FORMAT,
          "%s/%s: added token \"%s\" would get id %d, which is that of a piece (vocab.txt has some piece twice); "
          "name its own id in added_tokens.json",
          r->folder, n->file, text, *id);
    TW_TRY(tw_note(
        r->notes,
        "%s/%s: added token \"%s\" has id %lld, as named there; fast tokenizers of transformers would give it %d, "
        "the id of another piece, as the vocabulary has pieces twice",
        r->folder, n->file, text, (long long)declared, *id));
    *id = (int)declared;
    return TW_OK;
  }
  if (declared < 0) return TW_OK;
  return tw_note(r->notes,
                 "%s/%s: added token \"%s\" is given id %lld there, but transformers numbers it %d, which counts",
                 r->folder, n->file, text, (long long)declared, *id);
}

static tw_status add(numbering *n, tw_added_token *token, json_int_t declared) {
  tw_text_reader *r = n->r;
  const tw_added_token *there = find(r->rules, token->text);
  if (token->text[0] == '\0') return TW_OK;
  if (there && same_flags(there, token)) return TW_OK;
  if (there)
    return tw_fail(
        TW_ERR_FORMAT,
        "%s/%s: added token \"%s\" has other flags (normalized, single_word, lstrip, rstrip) than elsewhere in "
        "the folder; transformers 4 and 5 follow different ones: make them equal",
        r->folder, n->file, token->text);
  TW_TRY(choose_id(n, token->text, declared, &token->id));
  if (token->id >= r->vocab_size)
    return tw_fail(
        TW_ERR_FORMAT,
        "%s/%s: added token \"%s\" has id %d, but the embedding table ends at %d (config.json: vocab_size %d); "
        "resize the model's embeddings, or remove the token",
        r->folder, n->file, token->text, token->id, r->vocab_size - 1, r->vocab_size);
  if (token->id > n->highest) n->highest = token->id;
  return tw_text_rules_add(r->rules, token);
}

static bool flag(const json_t *object, const char *name, bool otherwise) {
  const json_t *value = json_object_get(object, name);
  return value ? json_is_true(value) : otherwise;
}

static tw_added_token from_object(const json_t *object, bool special) {
  special = flag(object, "special", special);
  return (tw_added_token){.text = (char *)tw_token_text(object),
                          .special = special,
                          .normalised = flag(object, "normalized", !special),
                          .single_word = flag(object, "single_word", false),
                          .strip_left = flag(object, "lstrip", false),
                          .strip_right = flag(object, "rstrip", false)};
}

// ---- lists with ids, lowest first

typedef struct {
  json_int_t id;
  const char *text;     // of added_tokens.json
  const json_t *token;  // of the others
} numbered;

static int by_id(const void *a, const void *b) {
  const numbered *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

static bool is_special(const tw_text_reader *r, const char *text) {
  static const char *const fields[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
  static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const char *name = tw_special_name(r, fields[i]);
    if (name && strcmp(name, text) == 0) return true;
  }
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    size_t k;
    json_t *value;
    json_array_foreach(tw_special_value(r, lists[i]), k, value) {
      const char *name = tw_token_text(value);
      if (name && strcmp(name, text) == 0) return true;
    }
  }
  return false;
}

static tw_status add_numbered(numbering *n, numbered *list, size_t count) {
  qsort(list, count, sizeof *list, by_id);
  for (size_t i = 0; i < count; i++) {
    tw_added_token token;
    if (list[i].token) {
      token = from_object(list[i].token, false);
    } else {
      bool special = is_special(n->r, list[i].text);
      token = (tw_added_token){.text = (char *)list[i].text, .special = special, .normalised = !special};
    }
    TW_TRY(add(n, &token, list[i].id));
  }
  return TW_OK;
}

static tw_status no_token(const numbering *n) {
  return tw_fail(TW_ERR_FORMAT, "%s/%s: an added token without text (content) or id", n->r->folder, n->file);
}

// tokenizer.json: [{"id": 7, "content": ...}]
static tw_status gather_array(const numbering *n, const json_t *array, numbered *out) {
  size_t i;
  json_t *value;
  json_array_foreach(array, i, value) {
    const json_t *id = json_object_get(value, "id");
    if (!json_is_integer(id) || !json_is_object(value) || !tw_token_text(value)) return no_token(n);
    out[i] = (numbered){.id = json_integer_value(id), .token = value};
  }
  return TW_OK;
}

// added_tokens_decoder: {"7": {"content": ...}}; added_tokens.json: {"text": 7}
static tw_status gather_object(const numbering *n, json_t *object, numbered *out) {
  const char *key;
  json_t *value;
  size_t i = 0;
  json_object_foreach(object, key, value) {
    char *end;
    if (json_is_object(value)) {
      out[i] = (numbered){.id = strtoll(key, &end, 10), .token = value};
      if (*end || end == key || !tw_token_text(value)) return no_token(n);
    } else {
      if (!json_is_integer(value)) return no_token(n);
      out[i] = (numbered){.id = json_integer_value(value), .text = key};
    }
    i++;
  }
  return TW_OK;
}

static tw_status add_list(numbering *n, const char *file, json_t *list) {
  size_t count = json_is_array(list) ? json_array_size(list) : json_object_size(list);
  if (count == 0) return TW_OK;
  n->file = file;
  numbered *all = calloc(count, sizeof *all);
  if (!all) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = json_is_array(list) ? gather_array(n, list, all) : gather_object(n, list, all);
  if (status == TW_OK) status = add_numbered(n, all, count);
  free(all);
  return status;
}

// ---- special tokens by name

static tw_status add_named(numbering *n, const json_t *value, bool from_file) {
  const char *text = tw_token_text(value);
  if (!text || find(n->r->rules, text)) return TW_OK;
  tw_added_token token = {.text = (char *)text, .special = true};
  if (json_is_object(value)) token = from_object(value, true);
  token.special = true;
  if (from_file || next_id(n, text) < n->r->vocab_size) return add(n, &token, -1);
  return tw_note(n->r->notes, "%s: the vocabulary has no %s; in a text it is read letter by letter", n->r->folder,
                 text);
}

static tw_status add_special(numbering *n) {
  static const char *const fields[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
  static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
  n->file = "tokenizer_config.json";
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const json_t *value = tw_special_value(n->r, fields[i]);
    bool from_file = json_object_get(n->r->config, fields[i]) || json_object_get(n->r->map, fields[i]);
    TW_TRY(add_named(n, value, from_file));
  }
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    json_t *list = (json_t *)tw_special_value(n->r, lists[i]), *value;
    const char *key;
    size_t k;
    json_array_foreach(list, k, value) TW_TRY(add_named(n, value, true));
    json_object_foreach(list, key, value) TW_TRY(add_named(n, value, true));
  }
  return TW_OK;
}

// split_special_tokens: they are numbered, but not looked for.
static void drop_special(tw_text_rules *rules) {
  int kept = 0;
  for (int i = 0; i < rules->added_count; i++) {
    if (rules->added[i].special)
      free(rules->added[i].text);
    else
      rules->added[kept++] = rules->added[i];
  }
  rules->added_count = kept;
}

static tw_status add_all(numbering *n) {
  tw_text_reader *r = n->r;
  const char *piece;
  json_t *id, *decoder = json_object_get(r->config, "added_tokens_decoder");
  TW_TRY(tw_alloc((size_t)r->vocab_size * sizeof *n->taken, (void **)&n->taken));
  json_object_foreach(r->ids, piece, id) n->taken[json_integer_value(id)] = true;
  TW_TRY(add_list(n, "tokenizer.json", json_object_get(r->tokenizer, "added_tokens")));
  if (decoder)
    TW_TRY(add_list(n, "tokenizer_config.json", decoder));
  else
    TW_TRY(add_list(n, "added_tokens.json", r->added));
  return add_special(n);
}

tw_status tw_added_tokens_read(tw_text_reader *r) {
  numbering n = {.r = r, .highest = -1};
  tw_status status = add_all(&n);
  tw_free(n.taken);
  if (status == TW_OK && json_is_true(json_object_get(r->config, "split_special_tokens"))) drop_special(r->rules);
  return status;
}
