// Results of a queue's inputs: finished under a name that no client takes, then delivered.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "io/queue_parts.h"
#include "io/seal.h"
#include "io/unfinished.h"

#define FINISHED ".finished"

// Sealing is decided when the input is taken: a result that is to be sealed is so by its name, whatever becomes of the
// client's site file.
static tw_path finished_path(const tw_queue *q, const char *name, bool sealed) {
  return tw_queue_out_path(q, name, "result", sealed ? "h5" TW_SEALED_ENDING FINISHED : "h5" FINISHED);
}

tw_status tw_queue_place(tw_queue *q, const char *name, bool sealed, tw_path *finished) {
  TW_TRY(tw_queue_make_client_folder(q, name));
  *finished = finished_path(q, name, sealed);
  if (!*finished->text) return tw_fail(TW_ERR_IO, "--out %s: the path is too long", q->o.out);
  return TW_OK;
}

static bool is_to_be_sealed(const tw_queue *q, const char *name) {
  tw_path path = finished_path(q, name, true);
  return tw_path_exists(&path);
}

tw_path tw_queue_finished(const tw_queue *q, const char *name) {
  return finished_path(q, name, is_to_be_sealed(q, name));
}

static tw_status cannot(const tw_path *path, const char *what) {
  return tw_fail(TW_ERR_IO, "%s: cannot be %s: %s; it is delivered when the service begins again", path->text, what,
                 strerror(errno));
}

// A process that died may have sealed it already, and not removed the plain one, or have sealed a part.
static tw_status deliver_sealed(const tw_queue *q, const char *name, const tw_path *finished) {
  char client[TW_QUEUE_WORD + 1];
  tw_path out = tw_queue_out_path(q, name, "result", "h5" TW_SEALED_ENDING);
  tw_path partial = tw_queue_out_path(q, name, "result", "h5" TW_SEALED_ENDING ".partial");
  tw_queue_divide(name, client);
  unlink(partial.text);
  if (!tw_path_exists(&out)) TW_TRY(tw_queue_seal_result(&q->o.seal, client, finished->text, out.text));
  if (chmod(out.text, tw_queue_mode_of_out(q, name)) != 0) return cannot(&out, "given to its client");
  tw_unfinished_keep();  // from here on there is this one alone
  return unlink(finished->text) == 0 ? TW_OK : cannot(finished, "removed");
}

// A client that has got a site file since gets what is finished plain sealed, too.
static tw_status must_seal(const tw_queue *q, const char *name, bool *sealed) {
  *sealed = is_to_be_sealed(q, name);
  return *sealed ? TW_OK : tw_queue_is_sealed(q, name, sealed);
}

tw_status tw_queue_can_deliver(const tw_queue *q, const char *name, char why[TW_QUEUE_REASON]) {
  enum { ROOM = TW_QUEUE_REASON - 60 };
  char client[TW_QUEUE_WORD + 1], fault[ROOM];
  tw_path sealed = tw_queue_out_path(q, name, "result", "h5" TW_SEALED_ENDING);
  bool seals;
  *why = '\0';
  TW_TRY(must_seal(q, name, &seals));
  if (!seals || tw_path_exists(&sealed)) return TW_OK;
  tw_queue_divide(name, client);
  TW_TRY(tw_queue_can_seal(&q->o.seal, client, fault, sizeof fault));
  if (*fault) snprintf(why, TW_QUEUE_REASON, "its result cannot be sealed to this client: %s", fault);
  return TW_OK;
}

tw_status tw_queue_deliver(tw_queue *q, const char *name) {
  tw_path finished = tw_queue_finished(q, name);
  tw_path result = tw_queue_out_path(q, name, "result", "h5");
  bool sealed;
  TW_TRY(must_seal(q, name, &sealed));
  if (sealed) return deliver_sealed(q, name, &finished);
  if (chmod(finished.text, tw_queue_mode_of_out(q, name)) != 0) return cannot(&finished, "given to its group");
  if (renameat2(AT_FDCWD, finished.text, AT_FDCWD, result.text, RENAME_NOREPLACE) != 0) {
    bool unknown = errno == EINVAL || errno == ENOSYS;  // to this file system
    if (!unknown || tw_path_exists(&result) || rename(finished.text, result.text) != 0)
      return cannot(&finished, "renamed to its result");
  }
  return tw_sync_folder_of(result.text);
}

tw_status tw_queue_forget(tw_queue *q, const char *name) {
  tw_path finished = tw_queue_finished(q, name);
  if (unlink(finished.text) == 0) return tw_sync_folder_of(finished.text);
  return tw_fail(TW_ERR_IO, "%s: cannot be removed: %s", finished.text, strerror(errno));
}

// What a file in OUT says of its input, and that one's ID; TW_QUEUE_NOTHING: it is another file.
static tw_queue_state read_name(const tw_queue *q, const char *file, char id[TW_QUEUE_WORD + 1]) {
  static const struct {
    const char *kind, *ending;
    tw_queue_state state;
  } forms[] = {{"result", "h5" FINISHED, TW_QUEUE_FINISHED},
               {"result", "h5" TW_SEALED_ENDING FINISHED, TW_QUEUE_FINISHED},
               {"result", "h5", TW_QUEUE_DELIVERED},
               {"result", "h5" TW_SEALED_ENDING, TW_QUEUE_DELIVERED},
               {"error", "txt", TW_QUEUE_REFUSED}};
  char ending[48];
  size_t n = strcspn(file, ".");
  if (n > TW_QUEUE_WORD) return TW_QUEUE_NOTHING;
  snprintf(id, TW_QUEUE_WORD + 1, "%.*s", (int)n, file);
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    snprintf(ending, sizeof ending, ".%s.p%d.%s", forms[i].kind, q->o.party, forms[i].ending);
    if (strcmp(file + n, ending) == 0) return tw_queue_word(id) ? forms[i].state : TW_QUEUE_NOTHING;
  }
  return TW_QUEUE_NOTHING;
}

typedef struct {
  tw_status (*each)(void *state, const char *name, tw_queue_state what);
  void *state;
} visitor;

// client: NULL for OUT itself, which has clients' folders, too.
static tw_status walk(const tw_queue *q, const char *client, const visitor *v) {
  char id[TW_QUEUE_WORD + 1], name[TW_QUEUE_NAME];
  int fd = tw_queue_client_folder(q->out, client ? client : "", S_IWOTH | S_IWGRP);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (!dir) {
    int error = errno;
    if (fd >= 0) close(fd);
    if (client) return TW_OK;
    return tw_fail(TW_ERR_IO, "--out %s: cannot read the folder: %s", q->o.out, strerror(error));
  }
  tw_status status = TW_OK;
  struct dirent *e;
  while (status == TW_OK && (errno = 0, e = readdir(dir))) {
    if (!client && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) && tw_queue_word(e->d_name)) {
      status = walk(q, e->d_name, v);
      continue;
    }
    tw_queue_state what = read_name(q, e->d_name, id);
    snprintf(name, sizeof name, "%s%s%s", client ? client : "", client ? "/" : "", id);
    if (what != TW_QUEUE_NOTHING) status = v->each(v->state, name, what);
  }
  if (status == TW_OK && errno)
    status =
        tw_fail(TW_ERR_IO, "--out %s/%s: cannot read the folder: %s", q->o.out, client ? client : "", strerror(errno));
  closedir(dir);
  return status;
}

tw_status tw_queue_walk(const tw_queue *q, tw_status (*each)(void *state, const char *name, tw_queue_state what),
                        void *state) {
  const visitor v = {each, state};
  return walk(q, NULL, &v);
}
