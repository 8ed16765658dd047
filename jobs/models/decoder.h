// Decoders, all families (io/decoder_tensors.h): the program (decoder.c), rings from bounds (decoder_rings.c), the
// float model (decoder_float.c).
#ifndef TW_DECODER_H
#define TW_DECODER_H

#include "jobs/models/architecture.h"

extern const tw_architecture tw_gpt2, tw_gpt_neo, tw_llama;

// Names of the plan's tables [seq][head_dim / 2] that turn queries and keys, integers at TW_ANGLE_SCALE.
extern const char tw_rotary_cosine[], tw_rotary_sine[];
// The values of both, for a model whose positions turn, of `seq` positions from `first` on: seq * head_dim / 2 each,
// mod 2^64.
tw_status tw_rotary_tables(const tw_model_config *config, int first, int seq, tw_table out[2]);

// All layers on x [seq][hidden], as tw_architecture's emit. kept: NULL, or of each layer where K and V stay.
int tw_build_decoder_layers(tw_builder *b, const tw_layer_shape *shape, const tw_rings *rings, tw_kept *kept, int x);
// What all layers share, and one of them: at.index, at.rings and what else it may have are its caller's.
tw_layer tw_decoder_layers_begin(tw_builder *b, const tw_layer_shape *shape, tw_tokens tokens);
int tw_build_decoder_layer(tw_builder *b, tw_layer at, int x);

tw_bounds tw_gpt_bounds(void);
tw_bounds tw_llama_bounds(void);
tw_bounds tw_decoder_widened(const tw_bounds *measured, double margin);
tw_status tw_decoder_rings(const tw_layer_shape *shape, const tw_bounds *bounds, tw_rings *out);
void tw_decoder_raise_bounds(const tw_layer_shape *shape, const tw_rings *rings, tw_bounds *bounds);
// A norm of rows whose sums of squares lie from `least` to `largest`, with gammas up to `weight`.
tw_norm_rings tw_decoder_norm_rings(const tw_layer_shape *shape, double least, double largest, double weight);
// Its ring of squares, where it reads the layer's residual stream.
int tw_decoder_squares(int squares, const tw_rings *layer);
// TW_ERR_RANGE names what does not fit; narrowest: ring of its output. layer -1: the norm behind the layers.
tw_status tw_decoder_check_norm(const tw_layer_shape *shape, int layer, const tw_norm_bounds *b, const tw_norm_rings *r,
                                int narrowest);
double tw_decoder_largest(const tw_layer_shape *shape, const tw_bounds *last);

#endif
