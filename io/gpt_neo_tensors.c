// GPT-Neo: GPT-2's shape, with no biases of Q, K and V.
#include "io/decoder_entries.h"

#define LAYER "h.%d."
static const tw_tensor_entry layer[] = {
    TW_ROW("qkv.weight", TW_IN_LAYER, TW_MATRIX, tw_hidden, tw_qkv, TW_SCALE, true,
           LAYER "attn.attention.q_proj.weight", LAYER "attn.attention.k_proj.weight",
           LAYER "attn.attention.v_proj.weight"),
    TW_ROW("qkv.bias", TW_IN_LAYER, TW_BIAS, tw_one, tw_qkv, TW_BIAS_SCALE, true, NULL),
    TW_ADDED_ROWS("out", tw_queries, LAYER "attn.attention.out_proj"),
    TW_NORM_ROWS("norm1", LAYER "ln_1"),
    TW_LINEAR_ROWS("up", TW_IN_LAYER, tw_hidden, tw_inner, LAYER "mlp.c_fc"),
    TW_ADDED_ROWS("down", tw_inner, LAYER "mlp.c_proj"),
    TW_NORM_ROWS("norm2", LAYER "ln_2")};
static const tw_tensor_entry top[] = {TW_GAMMA_ROW("norm", TW_ON_TOP, "ln_f"), TW_BETA_ROW("norm", TW_ON_TOP, "ln_f"),
                                      TW_WORD_ROWS("wte"), TW_POSITION_ROW("wpe"), TW_HEAD_OF_WORDS_ROWS};
static const tw_tensor_entry embedding[] = {TW_CLIENT_WORDS_ROW("wte"), TW_CLIENT_POSITIONS_ROW("wpe")};

const tw_tensor_table tw_gpt_neo_tensors[TW_HEADS] = TW_DECODERS("gpt_neo", "transformer.");
