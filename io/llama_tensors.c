// LLaMA and Qwen2: RMSNorm, a gate in the feed-forward part, no table of positions.
#include "io/decoder_entries.h"

#define LAYER "layers.%d."
#define ATTENTION LAYER "self_attn."
static const tw_tensor_entry layer[] = {
    TW_ROW("qkv.weight", TW_IN_LAYER, TW_MATRIX, tw_hidden, tw_qkv, TW_SCALE, true, ATTENTION "q_proj.weight",
           ATTENTION "k_proj.weight", ATTENTION "v_proj.weight"),
    {"qkv.bias",
     TW_IN_LAYER,
     TW_BIAS,
     tw_one,
     tw_qkv,
     TW_BIAS_SCALE,
     true,
     {ATTENTION "q_proj.bias", ATTENTION "k_proj.bias", ATTENTION "v_proj.bias"},
     .optional = TW_QKV_BIASES},
    TW_OPTIONAL_ROWS("out", tw_queries, tw_hidden, ATTENTION "o_proj", TW_OUT_BIASES),
    TW_GAMMA_ROW("norm1", TW_IN_LAYER, LAYER "input_layernorm"),
    TW_OPTIONAL_ROWS("gate", tw_hidden, tw_inner, LAYER "mlp.gate_proj", TW_MLP_BIASES),
    TW_OPTIONAL_ROWS("up", tw_hidden, tw_inner, LAYER "mlp.up_proj", TW_MLP_BIASES),
    TW_OPTIONAL_ROWS("down", tw_inner, tw_hidden, LAYER "mlp.down_proj", TW_MLP_BIASES),
    TW_GAMMA_ROW("norm2", TW_IN_LAYER, LAYER "post_attention_layernorm")};
static const tw_tensor_entry top[] = {TW_GAMMA_ROW("norm", TW_ON_TOP, "norm"), TW_WORD_ROWS("embed_tokens"),
                                      TW_HEAD_OF_WORDS_ROWS};
static const tw_tensor_entry embedding[] = {TW_CLIENT_WORDS_ROW("embed_tokens")};

const tw_tensor_table tw_llama_tensors[TW_HEADS] = TW_DECODERS("llama", "model.");
