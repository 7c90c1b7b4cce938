/* Ranks decide together. SPDX-License-Identifier: MIT */
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stop.h"
#include "tool.h"

/* ---- the launcher ---------------------------------------------------------------------------- */

/* Open MPI; MPICH and others with PMI; launchers with PMIx, such as Slurm's. */
static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
static const char *const numbers[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"};

bool ranks_launched(void) {
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const char *size = getenv(sizes[i]);
    if (size)
      return atoi(size) > 1;
  }
  return getenv("PMIX_RANK") != NULL;
}

int32_t ranks_launched_rank(void) {
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const char *number = getenv(numbers[i]);
    if (number)
      return (int32_t)atoi(number);
  }
  return 0;
}

void ranks_begin(ranks *r) {
  *r = (ranks){.table = GLOW_COLLECTIVE_INIT};
  if (ranks_launched() && ranks_launched_rank() > 0)
    messages_hold();
}

int ranks_open(ranks *r, int64_t kind, double timeout) {
  int code = ranks_launched() && kind != RANKS_NONE ? ranks_join(r, timeout) : TOOL_FINE;
  if (ranks_first(r))
    messages_release(-1); /* started by a launcher, but joined with nobody */
  else
    messages_hold();
  return code;
}

void ranks_close(ranks *r) {
  if (!ranks_first(r))
    messages_release(r->table.rank);
  ranks_leave(r);
}

int64_t ranks_part(const ranks *r, int64_t count) {
  return count * r->table.rank / r->table.size;
}

int64_t ranks_part_end(const ranks *r, int64_t count) {
  return count * (r->table.rank + 1) / r->table.size;
}

/* ---- calls of the engine --------------------------------------------------------------------- */

/* Where it fails no rank can tell the others: the job ends. */
static int called(ranks *r, glow_status status) {
  if (status == GLOW_OK)
    return TOOL_FINE;
  r->table.abort(glow_last_error(), r->table.payload);
  return TOOL_FAILED;
}

int ranks_sum(ranks *r, double *values, int64_t count) {
  void *request = NULL;
  if (!ranks_several(r))
    return TOOL_FINE;
  int code =
      called(r, r->table.sum_start(values, count, GLOW_SUM_FLOAT64, &request, r->table.payload));
  return code == TOOL_FINE ? called(r, r->table.sum_wait(request, r->table.payload)) : code;
}

int ranks_share(ranks *r, void *bytes, int64_t size) {
  return ranks_several(r) ? called(r, r->table.broadcast(bytes, size, 0, r->table.payload))
                          : TOOL_FINE;
}

/* ---- agreeing -------------------------------------------------------------------------------- */

/* What every rank tells: a 1 at its code, and what signals ask of it. */
enum { CODES = TOOL_STOPPED + 1, STOP = CODES, SAVE, TOLD };

/* A message that rank 0 has given need not come once more from each rank. */
static int tell_held(ranks *r, int own) {
  char first[MESSAGE_BYTES] = "";
  if (ranks_first(r))
    snprintf(first, sizeof first, "%s", messages_last());
  int code = ranks_share(r, first, sizeof first);
  if (code == TOOL_FINE && own != TOOL_FINE && strcmp(first, messages_last()) != 0)
    messages_release(r->table.rank);
  messages_forget();
  return code;
}

int ranks_agree(ranks *r, int code) {
  double told[TOLD] = {0.0};
  if (!ranks_several(r))
    return code;
  told[code] = 1.0;
  told[STOP] = stop_wanted();
  told[SAVE] = save_wanted();
  int failed = ranks_sum(r, told, TOLD);
  if (failed != TOOL_FINE)
    return failed;
  r->stop = r->stop || told[STOP] > 0.0;
  r->save = r->save || told[SAVE] > 0.0;
  int worst = CODES - 1;
  while (worst > TOOL_FINE && told[worst] == 0.0)
    worst--;
  if (worst != TOOL_FINE)
    failed = tell_held(r, code);
  return failed != TOOL_FINE ? failed : worst;
}

bool ranks_stop(const ranks *r) {
  return ranks_several(r) ? r->stop : stop_wanted();
}

bool ranks_save(ranks *r) {
  bool wanted = ranks_several(r) ? r->save : save_wanted();
  r->save = false;
  return wanted;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int line_length(const char *line) {
  return (int)strcspn(line, "\n");
}

/* The line of this name, or NULL. */
static const char *find_line(const char *text, const char *name, int length) {
  for (; *text; text += line_length(text) + (text[line_length(text)] == '\n'))
    if (strncmp(text, name, (size_t)length) == 0 && text[length] == '=')
      return text + length + 1;
  return NULL;
}

static int refuse_line(const char *what, const char *name, int length, const char *own,
                       const char *first) {
  return complain("%s%.*s is %.*s here, but %.*s on rank 0", what, length, name,
                  own ? line_length(own) : 7, own ? own : "not set", first ? line_length(first) : 7,
                  first ? first : "not set");
}

/* Every line of `text` is to be in `other` as well. `own`: text is this rank's. */
static int compare_lines(const char *text, const char *other, const char *what, bool own) {
  for (; *text; text += line_length(text) + (text[line_length(text)] == '\n')) {
    int length = (int)strcspn(text, "=\n");
    const char *value = text + length + 1, *found = find_line(other, text, length);
    if (found && line_length(found) == line_length(value) &&
        strncmp(found, value, (size_t)line_length(value)) == 0)
      continue;
    return own ? refuse_line(what, text, length, value, found)
               : refuse_line(what, text, length, found, value);
  }
  return TOOL_FINE;
}

int ranks_compare(ranks *r, const char *text, const char *what) {
  int64_t bytes = (int64_t)strlen(text) + 1;
  if (!ranks_several(r))
    return TOOL_FINE;
  int code = ranks_share(r, &bytes, sizeof bytes);
  char *first = code == TOOL_FINE ? calloc(1, (size_t)bytes) : NULL;
  if (code == TOOL_FINE)
    code = ranks_agree(r, first ? TOOL_FINE : TOOL_FAILED);
  if (first && code == TOOL_FINE && ranks_first(r))
    memcpy(first, text, (size_t)bytes);
  if (first && code == TOOL_FINE)
    code = ranks_share(r, first, bytes);
  if (first && code == TOOL_FINE) {
    int same = compare_lines(text, first, what, true);
    if (same == TOOL_FINE)
      same = compare_lines(first, text, what, false);
    code = ranks_agree(r, same);
  }
  free(first);
  return code;
}
