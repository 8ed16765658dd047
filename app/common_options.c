#include "app/common_options.h"

#include "io/model.h"
#include "io/new_files.h"

const tw_option tw_option_seq = {.name = "seq",
                                 .letter = 's',
                                 .kind = TW_OPTION_INTEGER,
                                 .value = "S",
                                 .fallback = "128",
                                 .help = "tokens of a sequence; shorter ones are padded",
                                 .low = 1,
                                 .high = TW_MOST_TOKENS};
const tw_option tw_option_result = {
    .name = "result",
    .kind = TW_OPTION_TEXT,
    .value = "WHAT",
    .words = "tokens pooled cls dense logits all-logits next-token text",
    .help =
        "what a run opens for the client: tokens (all rows), pooled (their mean), cls (the first), dense (of a Dense "
        "module) or logits (of a classifier). Of a decoder: tokens, logits (of the last row), all-logits (of all "
        "rows), next-token (the id of the last row's largest logit), text (--generate). Not given: what the folder "
        "says, else tokens"};
const tw_option tw_option_generate = {
    .name = "generate",
    .kind = TW_OPTION_INTEGER,
    .value = "T",
    .help = "of a decoder: T tokens behind the prompt, each the likeliest, for the client alone (the result is a text)",
    .low = 1,
    .high = TW_MOST_TOKENS};

const tw_option tw_option_shape = {
    .name = "shape",
    .kind = TW_OPTION_TEXT,
    .value = "SHAPE",
    .words =
        "bert-tiny bert-mini bert-small bert-medium bert-base bert-large minilm gpt2 gpt-neo-1.3b llama-2-7b "
        "llama-3-8b smollm2-135m",
    .help =
        "a model of this shape with random weights: bert-tiny, -mini, -small, -medium, -base, -large, minilm, gpt2, "
        "gpt-neo-1.3b, llama-2-7b, llama-3-8b, smollm2-135m, or LAYERSxHIDDENxHEADSxINTERMEDIATE"};

const tw_option tw_option_model = {.name = "model",
                                   .kind = TW_OPTION_TEXT,
                                   .value = "NAME",
                                   .help =
                                       "the NAME that the model, its plan and its keys have, where NAME is another "
                                       "input's, or another dealing's (not given: NAME)"};

const tw_option tw_option_keys = {.name = "keys",
                                  .kind = TW_OPTION_TEXT,
                                  .value = "NAME",
                                  .help =
                                      "the NAME whose keys are used, where they were dealt under one of their own (not "
                                      "given: that of the model)"};

const tw_option tw_option_device = {.name = "device",
                                    .kind = TW_OPTION_TEXT,
                                    .value = "WHICH",
                                    .words = "auto cpu cuda",
                                    .fallback = "auto",
                                    .help = "cpu, cuda (one GPU a party), or auto: a GPU where there is one"};

const tw_option tw_option_affinity = {
    .name = "affinity",
    .kind = TW_OPTION_TEXT,
    .value = "WHICH",
    .words = "auto none",
    .fallback = "auto",
    .help =
        "auto: bind to cores and memory near the party's GPU, parties of one host apart, always inside "
        "what the launcher gave. none: stay where the launcher put the party"};

const tw_option tw_option_transport = {
    .name = "transport",
    .kind = TW_OPTION_TEXT,
    .value = "WHICH",
    .words = "auto peer nccl host-window host-relay gpu-relay",
    .fallback = "auto",
    .help =
        "how GPUs exchange: peer (each writes into the other's memory), nccl, host-window (memory of "
        "their host that both map), host-relay (messages from host memory) or gpu-relay (messages from "
        "GPU memory). auto: the first of peer, nccl and host-window that both parties can open; host-relay over an "
        "emulated link"};

const tw_option tw_option_link_latency = {
    .name = "link-latency",
    .kind = TW_OPTION_TIME,
    .value = "TIME",
    .help =
        "one-way latency of the link between the parties, in us, ms or s. plan chooses and estimates by it (10us where "
        "another option speaks of a place). run and bench hold messages back as such a link would, where it is given",
    .low = 0,
    .high = 10};

const tw_option tw_option_link_rate = {
    .name = "link-rate",
    .kind = TW_OPTION_RATE,
    .value = "RATE",
    .help =
        "bandwidth of that link each way, in kbit/s, Mbit/s, Gbit/s, kB/s, MB/s or GB/s. plan: 10GB/s where another "
        "option speaks of a place. run and bench: no limit unless it is given",
    .low = 125,
    .high = 125e12};

const tw_option tw_option_split_batch = {
    .name = "split-batch",
    .kind = TW_OPTION_TEXT,
    .value = "WHEN",
    .words = "auto always never",
    .fallback = "auto",
    .help =
        "halves of a batch take turns: one computes while the other's openings are on their way. always, "
        "never, or auto: where openings are waited for. That is between hosts unless by NCCL, by "
        "host-relay and gpu-relay, and by host-window between two GPUs"};

const tw_option tw_option_prepare = {
    .name = "prepare",
    .kind = TW_OPTION_TEXT,
    .value = "WHEN",
    .words = "auto before during",
    .fallback = "auto",
    .help =
        "when work is done that needs no input. before: before the online phase, which is shortest then. "
        "during: during it, so that both together are shortest. auto: during it on a GPU and between "
        "hosts, but not with NCCL between hosts"};

const tw_option tw_option_silence_limit = {.name = "silence-limit",
                                           .kind = TW_OPTION_REAL,
                                           .value = "SECONDS",
                                           .fallback = "60",
                                           .help = "give up when nothing comes from the other party for so long",
                                           .low = 0.1,
                                           .high = 1e6};

const tw_option tw_option_connections = {
    .name = "connections", .kind = TW_OPTION_INTEGER, .value = "N", .fallback = "32", .low = 2, .high = 64};

const tw_option tw_option_wait_limit = {.name = "wait-limit",
                                        .kind = TW_OPTION_REAL,
                                        .value = "SECONDS",
                                        .fallback = "600",
                                        .help = "give up when the other party's job has not come after so long",
                                        .low = 0.1,
                                        .high = 1e7};
const tw_option tw_option_allow_unlocked = {
    .name = "allow-unlocked",
    .help =
        "go on where seeds cannot be locked in memory (`ulimit -l`): they may reach swap, which must be off or "
        "encrypted"};

const tw_option tw_option_ledger = {
    .name = "ledger",
    .kind = TW_OPTION_TEXT,
    .value = "DIR",
    .help =
        "ledger of used slots, made once by `twain ledger --new`, on durable storage (not given: "
        "$XDG_STATE_HOME/twain/ledger or ~/.local/state/twain/ledger)"};

const tw_option tw_option_site = {
    .name = "site", .kind = TW_OPTION_TEXT, .value = "FOLDER", .help = "one's own site, as `twain site init` made it"};

const tw_option tw_option_from = {
    .name = "from", .kind = TW_OPTION_TEXT, .value = "FILE", .help = "site file of the one who must have sealed it"};

const tw_option tw_option_seal_to = {
    .name = "seal-to",
    .kind = TW_OPTION_TEXTS,
    .value = "FILE",
    .help =
        "site file of a recipient: what is written for it is encrypted to it and signed by --site, and gets the ending "
        ".sealed; once for each recipient"};

const tw_option tw_option_verbose = {.name = "verbose", .letter = 'v', .help = "costs of every gate in every layer"};
const tw_option tw_option_json = {.name = "json", .help = "print records as JSON, see docs/records.md"};
const tw_option tw_option_csv = {.name = "csv", .help = "print records as CSV"};
const tw_option tw_option_show_texts = {
    .name = "show-texts", .help = "print the texts themselves, too; without it none of them gets into a log"};
const tw_option tw_option_force = {.name = "force", .help = "replace files that are there"};

tw_status tw_model_name(const char *model, const char *name, const char **out) {
  *out = model ? model : name;
  return model ? tw_name_check(model) : TW_OK;
}
