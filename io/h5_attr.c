// Attributes: fixed-length strings, 64-bit integers and doubles, one value each.
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/decoder_tensors.h"
#include "io/h5.h"
#include "io/hf_config.h"

static tw_status put(tw_h5 *f, const char *object, const char *name, hid_t type, const void *value) {
  hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
  if (space >= 0)
    attribute = H5Acreate_by_name(f->file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  bool done = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  if (space >= 0) H5Sclose(space);
  return done ? TW_OK : tw_h5_fail(TW_ERR_IO, f, "attribute", name, "cannot be written");
}

static bool is_ascii(const char *text) {
  while (*text && (unsigned char)*text < 0x80) text++;
  return !*text;
}

tw_status tw_h5_put_text(tw_h5 *f, const char *object, const char *name, const char *text) {
  size_t length = strlen(text);
  hid_t type = H5Tcopy(H5T_C_S1);
  // exactly the text, no terminator: every byte of the attribute has a meaning
  tw_status status = TW_OK;
  if (type < 0 || H5Tset_size(type, length ? length : 1) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
      H5Tset_cset(type, is_ascii(text) ? H5T_CSET_ASCII : H5T_CSET_UTF8) < 0)
    status = tw_h5_fail(TW_ERR_IO, f, "attribute", name, "cannot be made");
  if (status == TW_OK) status = put(f, object, name, type, text);
  if (type >= 0) H5Tclose(type);
  return status;
}

tw_status tw_h5_put_int(tw_h5 *f, const char *object, const char *name, int64_t value) {
  return put(f, object, name, H5T_STD_I64LE, &value);
}

// What H5Aopen_by_name opens can be read and not written: findings/hdf5_attribute_opened_by_name_is_not_written.sh.
tw_status tw_h5_set_int(tw_h5 *f, const char *object, const char *name, int64_t value) {
  hid_t owner = H5Oopen(f->file, object, H5P_DEFAULT), attribute = -1;
  if (owner >= 0) attribute = H5Aopen(owner, name, H5P_DEFAULT);
  bool done = attribute >= 0 && H5Awrite(attribute, H5T_STD_I64LE, &value) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  if (owner >= 0) H5Oclose(owner);
  return done ? TW_OK : tw_h5_fail(TW_ERR_IO, f, "attribute", name, "cannot be written");
}

tw_status tw_h5_put_real(tw_h5 *f, const char *object, const char *name, double value) {
  if (!isfinite(value)) return tw_fail(TW_ERR_RANGE, "%s: attribute %s: not a finite number", f->path, name);
  return put(f, object, name, H5T_IEEE_F64LE, &value);
}

static tw_status put_hex(tw_h5 *f, const char *name, const char *hex, size_t digits) {
  if (!tw_is_hex(hex, digits))
    return tw_fail(TW_ERR_INTERNAL, "%s: attribute %s: not %zu hexadecimal digits", f->path, name, digits);
  return tw_h5_put_text(f, "/", name, hex);
}

tw_status tw_h5_put_id(tw_h5 *f, const char *name, const tw_id *id) { return put_hex(f, name, id->hex, 32); }

tw_status tw_h5_put_digest(tw_h5 *f, const char *name, const tw_digest *digest) {
  return put_hex(f, name, digest->hex, 64);
}

static tw_status open_attribute(const tw_h5 *f, const char *object, const char *name, hid_t *attribute) {
  *attribute = -1;
  if (tw_h5_has(f, object) && H5Aexists_by_name(f->file, object, name, H5P_DEFAULT) > 0)
    *attribute = H5Aopen_by_name(f->file, object, name, H5P_DEFAULT, H5P_DEFAULT);
  if (*attribute < 0)
    return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", name, "is missing or damaged; make or copy the file again");
  return TW_OK;
}

static tw_status get_number(const tw_h5 *f, const char *object, const char *name, hid_t type, void *value) {
  hid_t attribute;
  TW_TRY(open_attribute(f, object, name, &attribute));
  hid_t stored = H5Aget_type(attribute), space = H5Aget_space(attribute);
  bool done = stored >= 0 && space >= 0 && H5Tequal(stored, type) > 0 && H5Sget_simple_extent_npoints(space) == 1 &&
              H5Aread(attribute, type, value) >= 0;
  if (stored >= 0) H5Tclose(stored);
  if (space >= 0) H5Sclose(space);
  H5Aclose(attribute);
  return done ? TW_OK : tw_h5_fail(TW_ERR_FORMAT, f, "attribute", name, "is not one number of the expected type");
}

tw_status tw_h5_get_text(const tw_h5 *f, const char *object, const char *name, char *text, size_t size) {
  hid_t attribute;
  TW_TRY(open_attribute(f, object, name, &attribute));
  hid_t stored = H5Aget_type(attribute), space = H5Aget_space(attribute);
  memset(text, 0, size);
  bool done = stored >= 0 && space >= 0 && H5Tget_class(stored) == H5T_STRING && H5Tis_variable_str(stored) == 0 &&
              H5Tget_size(stored) < size && H5Sget_simple_extent_npoints(space) == 1 &&
              H5Aread(attribute, stored, text) >= 0;
  if (stored >= 0) H5Tclose(stored);
  if (space >= 0) H5Sclose(space);
  H5Aclose(attribute);
  if (!done) return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", name, "is not a string of the expected length");
  if (tw_text_is_plain(text)) return TW_OK;
  return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", name, "holds control characters, or is not UTF-8");
}

tw_status tw_h5_get_int(const tw_h5 *f, const char *object, const char *name, int64_t low, int64_t high,
                        int64_t *value) {
  *value = 0;
  TW_TRY(get_number(f, object, name, H5T_STD_I64LE, value));
  if (*value < low || *value > high)
    return tw_fail(TW_ERR_FORMAT, "%s: attribute %s: %lld is not in [%lld, %lld]", f->path, name, (long long)*value,
                   (long long)low, (long long)high);
  return TW_OK;
}

tw_status tw_h5_get_small(const tw_h5 *f, const char *name, int low, int high, int *value) {
  int64_t wide;
  TW_TRY(tw_h5_get_int(f, "/", name, low, high, &wide));
  *value = (int)wide;
  return TW_OK;
}

tw_status tw_h5_get_bool(const tw_h5 *f, const char *name, bool *value) {
  int number;
  TW_TRY(tw_h5_get_small(f, name, 0, 1, &number));
  *value = number != 0;
  return TW_OK;
}

bool tw_h5_has_attribute(const tw_h5 *f, const char *name) {
  return H5Aexists_by_name(f->file, "/", name, H5P_DEFAULT) > 0;
}

tw_status tw_h5_get_real(const tw_h5 *f, const char *object, const char *name, double *value) {
  *value = 0;
  TW_TRY(get_number(f, object, name, H5T_IEEE_F64LE, value));
  if (!isfinite(*value)) return tw_fail(TW_ERR_FORMAT, "%s: attribute %s: not a finite number", f->path, name);
  return TW_OK;
}

static tw_status get_hex(const tw_h5 *f, const char *name, char *hex, size_t digits) {
  TW_TRY(tw_h5_get_text(f, "/", name, hex, digits + 1));
  if (!tw_is_hex(hex, digits))
    return tw_fail(TW_ERR_FORMAT, "%s: attribute %s: not %zu hexadecimal digits", f->path, name, digits);
  return TW_OK;
}

tw_status tw_h5_get_id(const tw_h5 *f, const char *name, tw_id *id) { return get_hex(f, name, id->hex, 32); }

tw_status tw_h5_get_digest(const tw_h5 *f, const char *name, tw_digest *digest) {
  return get_hex(f, name, digest->hex, 64);
}

// ---- a model's config

static tw_status put_head(tw_h5 *f, const tw_head *h) {
  TW_TRY(tw_h5_put_text(f, "/", "head", tw_head_name(h->kind)));
  TW_TRY(tw_h5_put_int(f, "/", "head_outputs", h->outputs));
  TW_TRY(tw_h5_put_text(f, "/", "head_activation", h->activation));
  return tw_h5_put_text(f, "/", "head_rows", tw_output_name(h->rows));
}

// "2 32000"
static tw_status put_ends(tw_h5 *f, const tw_model_config *c) {
  char text[12 * TW_MOST_ENDS + 1] = "";
  for (int i = 0, used = 0; i < c->end_count; i++)
    used += snprintf(text + used, sizeof text - (size_t)used, i ? " %d" : "%d", c->ends[i]);
  return tw_h5_put_text(f, "/", "end_words", text);
}

static tw_status get_ends(const tw_h5 *f, tw_model_config *c) {
  char text[12 * TW_MOST_ENDS + 1], *at = text;
  TW_TRY(tw_h5_get_text(f, "/", "end_words", text, sizeof text));
  for (c->end_count = 0; *at; c->end_count++) {
    char *end;
    long id = strtol(at, &end, 10);
    if (end == at || (*end && *end != ' ') || id < 0 || id > INT_MAX || c->end_count == TW_MOST_ENDS)
      return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", "end_words", "not up to 8 numbers of words");
    c->ends[c->end_count] = (int)id;
    at = *end ? end + 1 : end;
  }
  return TW_OK;
}

// Files of encoders do without these.
static tw_status put_decoder(tw_h5 *f, const tw_model_config *c) {
  if (!tw_decoder_layout_of(c)) return TW_OK;
  TW_TRY(tw_h5_put_int(f, "/", "kv_heads", c->kv_heads));
  TW_TRY(tw_h5_put_int(f, "/", "head_dim", c->head_dim));
  TW_TRY(tw_h5_put_int(f, "/", "unscaled_logits", c->unscaled_logits));
  TW_TRY(tw_h5_put_int(f, "/", "local_window", c->local_window));
  TW_TRY(tw_h5_put_int(f, "/", "local_layers", (int64_t)c->local_layers));
  TW_TRY(tw_h5_put_text(f, "/", "rotary", tw_rotary_name(c->rotary.kind)));
  TW_TRY(tw_h5_put_real(f, "/", "rotary_theta", c->rotary.theta));
  TW_TRY(tw_h5_put_real(f, "/", "rotary_factor", c->rotary.factor));
  TW_TRY(tw_h5_put_real(f, "/", "rotary_low_factor", c->rotary.low_factor));
  TW_TRY(tw_h5_put_real(f, "/", "rotary_high_factor", c->rotary.high_factor));
  TW_TRY(tw_h5_put_int(f, "/", "rotary_original_positions", c->rotary.original_positions));
  TW_TRY(put_ends(f, c));
  return tw_h5_put_int(f, "/", "client_embeds", c->client_embeds);
}

static tw_status get_decoder(const tw_h5 *f, tw_model_config *c) {
  char rotary[16];
  int64_t layers;
  if (!tw_decoder_layout_of(c)) return TW_OK;
  TW_TRY(tw_h5_get_small(f, "kv_heads", 0, 1 << 30, &c->kv_heads));
  TW_TRY(tw_h5_get_small(f, "head_dim", 0, 1 << 30, &c->head_dim));
  TW_TRY(tw_h5_get_bool(f, "unscaled_logits", &c->unscaled_logits));
  TW_TRY(tw_h5_get_small(f, "local_window", 0, 1 << 30, &c->local_window));
  TW_TRY(tw_h5_get_int(f, "/", "local_layers", INT64_MIN, INT64_MAX, &layers));
  c->local_layers = (uint64_t)layers;
  TW_TRY(tw_h5_get_text(f, "/", "rotary", rotary, sizeof rotary));
  if (tw_rotary_parse(rotary, &c->rotary.kind) != TW_OK)
    return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", "rotary", "not one of none, plain, linear and llama3");
  TW_TRY(tw_h5_get_real(f, "/", "rotary_theta", &c->rotary.theta));
  TW_TRY(tw_h5_get_real(f, "/", "rotary_factor", &c->rotary.factor));
  TW_TRY(tw_h5_get_real(f, "/", "rotary_low_factor", &c->rotary.low_factor));
  TW_TRY(tw_h5_get_real(f, "/", "rotary_high_factor", &c->rotary.high_factor));
  TW_TRY(tw_h5_get_small(f, "rotary_original_positions", 0, 1 << 30, &c->rotary.original_positions));
  TW_TRY(get_ends(f, c));
  return tw_h5_get_bool(f, "client_embeds", &c->client_embeds);
}

tw_status tw_h5_put_config(tw_h5 *f, const tw_model_config *c) {
  TW_TRY(tw_model_config_check(f->path, c));
  TW_TRY(tw_h5_put_text(f, "/", "model_name", c->name));
  TW_TRY(tw_h5_put_text(f, "/", "architecture", c->architecture));
  TW_TRY(tw_h5_put_text(f, "/", "activation", c->activation));
  TW_TRY(tw_h5_put_int(f, "/", "layers", c->layers));
  TW_TRY(tw_h5_put_int(f, "/", "hidden", c->hidden));
  TW_TRY(tw_h5_put_int(f, "/", "heads", c->heads));
  TW_TRY(tw_h5_put_int(f, "/", "intermediate", c->intermediate));
  TW_TRY(tw_h5_put_int(f, "/", "max_positions", c->max_positions));
  TW_TRY(tw_h5_put_int(f, "/", "position_offset", c->position_offset));
  TW_TRY(tw_h5_put_int(f, "/", "embedding", c->embedding));
  TW_TRY(tw_h5_put_int(f, "/", "vocab", c->vocab));
  TW_TRY(tw_h5_put_int(f, "/", "type_vocab", c->type_vocab));
  TW_TRY(tw_h5_put_real(f, "/", "norm_epsilon", c->norm_epsilon));
  TW_TRY(tw_h5_put_int(f, "/", "pre_norm", c->pre_norm));
  TW_TRY(tw_h5_put_int(f, "/", "causal", c->causal));
  TW_TRY(tw_h5_put_int(f, "/", "synthetic", c->synthetic));
  TW_TRY(put_decoder(f, c));
  TW_TRY(put_head(f, &c->head));
  TW_TRY(tw_h5_put_text(f, "/", "model_output", tw_output_name(c->output)));
  return tw_h5_put_int(f, "/", "normalise_output", c->normalise_output);
}

static tw_status get_output(const tw_h5 *f, const char *name, tw_model_output *out) {
  char text[16];
  TW_TRY(tw_h5_get_text(f, "/", name, text, sizeof text));
  if (tw_output_parse(text, out) == TW_OK) return TW_OK;
  return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", name,
                    "not one of tokens, pooled, cls, logits, dense, all-logits, next-token and text");
}

static tw_status get_head(const tw_h5 *f, tw_head *h) {
  char kind[16];
  TW_TRY(tw_h5_get_text(f, "/", "head", kind, sizeof kind));
  if (tw_head_parse(kind, &h->kind) != TW_OK)
    return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", "head", "not one of none, sequence, tokens, dense and words");
  TW_TRY(tw_h5_get_small(f, "head_outputs", 0, 1 << 30, &h->outputs));
  TW_TRY(tw_h5_get_text(f, "/", "head_activation", h->activation, sizeof h->activation));
  return get_output(f, "head_rows", &h->rows);
}

// What version 1 does not say: its models are BERT encoders without a head.
static tw_status get_family(const tw_h5 *f, tw_model_config *c) {
  char version[16];
  TW_TRY(tw_h5_get_text(f, "/", "version", version, sizeof version));
  if (strcmp(version, "1") == 0) {
    snprintf(c->architecture, sizeof c->architecture, "bert");
    return TW_OK;
  }
  TW_TRY(tw_h5_get_text(f, "/", "architecture", c->architecture, sizeof c->architecture));
  TW_TRY(tw_h5_get_small(f, "position_offset", 0, 1 << 30, &c->position_offset));
  TW_TRY(tw_h5_get_small(f, "embedding", 0, 1 << 30, &c->embedding));
  return get_head(f, &c->head);
}

tw_status tw_h5_get_config(const tw_h5 *f, tw_model_config *c) {
  const int most = 1 << 30;  // tw_model_config_check knows the real limits
  *c = (tw_model_config){.layers = 0};
  TW_TRY(tw_h5_get_text(f, "/", "model_name", c->name, sizeof c->name));
  TW_TRY(get_family(f, c));
  TW_TRY(get_decoder(f, c));
  TW_TRY(tw_h5_get_text(f, "/", "activation", c->activation, sizeof c->activation));
  TW_TRY(tw_h5_get_small(f, "layers", 1, most, &c->layers));
  TW_TRY(tw_h5_get_small(f, "hidden", 1, most, &c->hidden));
  TW_TRY(tw_h5_get_small(f, "heads", 1, most, &c->heads));
  TW_TRY(tw_h5_get_small(f, "intermediate", 1, most, &c->intermediate));
  TW_TRY(tw_h5_get_small(f, "max_positions", 1, most, &c->max_positions));
  TW_TRY(tw_h5_get_small(f, "vocab", 1, most, &c->vocab));
  TW_TRY(tw_h5_get_small(f, "type_vocab", 1, most, &c->type_vocab));
  TW_TRY(tw_h5_get_real(f, "/", "norm_epsilon", &c->norm_epsilon));
  TW_TRY(tw_h5_get_bool(f, "pre_norm", &c->pre_norm));
  TW_TRY(tw_h5_get_bool(f, "causal", &c->causal));
  TW_TRY(tw_h5_get_bool(f, "synthetic", &c->synthetic));
  TW_TRY(tw_h5_get_bool(f, "normalise_output", &c->normalise_output));
  TW_TRY(get_output(f, "model_output", &c->output));
  return tw_model_config_check(f->path, c);
}
