// Models from outside: a Hugging Face folder of a BERT encoder, or synthetic weights of a named shape.
#ifndef TW_IMPORT_H
#define TW_IMPORT_H

#include "io/client.h"
#include "io/model_file.h"
#include "io/notes.h"

// A model on its way in: its tensors come one at a time, so that no more than its largest need be in memory.
typedef struct tw_import tw_import;

// Folder with config.json, model.safetensors (or shards) and a tokenizer (io/text_rules.h); tensor names with or
// without the architecture's prefix. The name is the folder's. All but the weights' values is read and checked here;
// errors name the file, and the tensor where one is at fault. encoder_only: without what sentence-transformers puts
// behind the encoder (modules.json and what belongs to it). *notes gets a line for everything that is left out or
// decided here; free(notes->text), also after an error.
tw_status tw_import_open_folder(const char *folder, bool encoder_only, tw_notes *notes, tw_import **out);
// Random weights with the statistics of a trained BERT, the same on every call (up to the last bit of libm's logarithm
// and cosine). No vocabulary: texts are hashed to tokens.
// layers: as many of the shape's instead; 0: all.
tw_status tw_import_open_shape(const char *shape, int layers, tw_import **out);
// Before anything is read: the client of this decoder will have its word table in clear, and look words up
// (client_embeds). TW_ERR_USAGE: it is no decoder.
tw_status tw_import_let_client_embed(tw_import *in);
// The owner's part, for tw_model_write_stream or tw_model_of_stream.
const tw_model_stream *tw_import_model(const tw_import *in);
// Then the client's (vocabulary, embeddings); free with tw_client_free. The model is not read again.
tw_status tw_import_client(tw_import *in, tw_client *client);
void tw_import_close(tw_import *in);

// The whole of a folder, or of a shape, in memory: free both with tw_model_free, tw_client_free. After an error nothing
// is left to free.
tw_status tw_import_folder_noting(const char *folder, bool encoder_only, tw_model *model, tw_client *client,
                                  tw_notes *notes);
tw_status tw_import_folder(const char *folder, tw_model *model, tw_client *client);  // for callers that show no notes
tw_status tw_import_synthetic(const char *shape, tw_model *model, tw_client *client);

// The configuration of a shape, without weights: bert-tiny, -mini, -small, -medium, -base, -large, minilm, gpt2,
// gpt-neo-1.3b, llama-2-7b, llama-3-8b, smollm2-135m, or LAYERSxHIDDENxHEADSxINTERMEDIATE. TW_ERR_USAGE lists the
// names.
tw_status tw_shape_config(const char *shape, tw_model_config *config);

#endif
