// GPT-2: its matrices are stored with inputs first, Q, K and V in one.
#include "io/decoder_entries.h"

#define LAYER "h.%d."
static const tw_tensor_entry layer[] = {TW_CONV_ROWS("qkv", tw_hidden, tw_qkv, true, LAYER "attn.c_attn"),
                                        TW_ADDED_CONV_ROWS("out", tw_queries, LAYER "attn.c_proj"),
                                        TW_NORM_ROWS("norm1", LAYER "ln_1"),
                                        TW_CONV_ROWS("up", tw_hidden, tw_inner, false, LAYER "mlp.c_fc"),
                                        TW_ADDED_CONV_ROWS("down", tw_inner, LAYER "mlp.c_proj"),
                                        TW_NORM_ROWS("norm2", LAYER "ln_2")};
static const tw_tensor_entry top[] = {TW_GAMMA_ROW("norm", TW_ON_TOP, "ln_f"), TW_BETA_ROW("norm", TW_ON_TOP, "ln_f"),
                                      TW_WORD_ROWS("wte"), TW_POSITION_ROW("wpe"), TW_HEAD_OF_WORDS_ROWS};
static const tw_tensor_entry embedding[] = {TW_CLIENT_WORDS_ROW("wte"), TW_CLIENT_POSITIONS_ROW("wpe")};

const tw_tensor_table tw_gpt2_tensors[TW_HEADS] = TW_DECODERS("gpt2", "transformer.");
