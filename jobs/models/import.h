// Models from outside: a Hugging Face folder of a BERT encoder, or synthetic weights of a named shape.
#ifndef TW_IMPORT_H
#define TW_IMPORT_H

#include "io/client.h"
#include "io/model.h"
#include "io/notes.h"

// Folder with config.json, model.safetensors (or shards) and a tokenizer (io/text_rules.h); tensor names with or
// without "bert.". The owner's part goes to *model, the client's (vocabulary, embeddings) to *client; free both with
// tw_model_free, tw_client_free. The name is the folder's. Errors name the file, and the tensor where one is at fault;
// then nothing is left to free. encoder_only: without what sentence-transformers puts behind the encoder (modules.json
// and what belongs to it). *notes gets a line for everything that is left out or decided here; free(notes->text), also
// after an error.
tw_status tw_import_folder_noting(const char *folder, bool encoder_only, tw_model *model, tw_client *client,
                                  tw_notes *notes);
// The whole folder, for callers that show no notes.
tw_status tw_import_folder(const char *folder, tw_model *model, tw_client *client);

// The configuration of a shape, without weights: bert-tiny, -mini, -small, -medium, -base, -large, minilm, or
// LAYERSxHIDDENxHEADSxINTERMEDIATE. TW_ERR_USAGE lists the names.
tw_status tw_shape_config(const char *shape, tw_model_config *config);

// Random weights with the statistics of a trained BERT, the same on every call (up to the last bit of libm's logarithm
// and cosine). No vocabulary: texts are hashed to tokens.
tw_status tw_import_synthetic(const char *shape, tw_model *model, tw_client *client);

#endif
