/* A disk whose power can be cut. SPDX-License-Identifier: MIT */
#include "power.h"

#include <dirent.h>
#include <unistd.h>

#include "places.h"
#include "wrap.h"

enum {
  FILES = 64,
  EVENTS = 2000,
  DESCRIPTORS = 1024,
  NAME = 128,
  SECTOR = 512,
  RANDOM = 3, /* random states of data, and of names */
  NOTHING = -1,
  THE_FOLDER = -2
};

/* ---- the record ------------------------------------------------------------------------------ */

enum kind { CREATE, WRITE, SYNC, RENAME, UNLINK, MARK };
typedef struct event {
  enum kind kind;
  int file; /* number of a file; of SYNC: THE_FOLDER, too */
  char name[NAME], to[NAME];
  unsigned char *data;
  size_t bytes;
  int64_t offset; /* of WRITE; of MARK: the mark */
} event;

/* A name in the folder. */
typedef struct entry {
  char name[NAME];
  int file; /* NOTHING: the entry is free */
} entry;

static struct {
  char folder[300];
  event events[EVENTS];
  int count;
  int of[DESCRIPTORS]; /* what a descriptor leads to */
  entry names[FILES];  /* as the program sees them */
  int files;
  blob first[FILES]; /* what the files that were there at the start contain */
  entry first_names[FILES];
} tape;

static entry *find(entry *names, const char *name) {
  for (int i = 0; i < FILES; i++)
    if (names[i].file != NOTHING && strcmp(names[i].name, name) == 0)
      return &names[i];
  return NULL;
}

static void set_name(entry *names, const char *name, int file) {
  entry *e = find(names, name);
  for (int i = 0; !e; i++) {
    assert_true(i < FILES);
    e = names[i].file == NOTHING ? &names[i] : NULL;
  }
  snprintf(e->name, sizeof e->name, "%s", name);
  e->file = file;
}

static void remove_name(entry *names, const char *name) {
  entry *e = find(names, name);
  if (e)
    e->file = NOTHING;
}

static event *add(enum kind kind, int file) {
  assert_true(tape.count < EVENTS);
  event *e = &tape.events[tape.count++];
  *e = (event){.kind = kind, .file = file};
  return e;
}

/* The name of a path in the folder; NULL: it is elsewhere. A relative one belongs to a descriptor
 * of the folder. */
static const char *name_of(const char *path) {
  const size_t length = strlen(tape.folder);
  if (path[0] != '/')
    return path;
  if (strncmp(path, tape.folder, length) != 0 || path[length] != '/')
    return NULL;
  return path + length + 1;
}

static void watch_open(const wrap_event *w) {
  const char *name = name_of(w->path);
  assert_true(w->descriptor < DESCRIPTORS);
  tape.of[w->descriptor] = NOTHING;
  if (strcmp(w->path, tape.folder) == 0) {
    tape.of[w->descriptor] = THE_FOLDER;
  } else if (name && find(tape.names, name)) {
    tape.of[w->descriptor] = find(tape.names, name)->file;
  } else if (name && w->created) {
    assert_true(tape.files < FILES);
    tape.of[w->descriptor] = tape.files++;
    event *e = add(CREATE, tape.of[w->descriptor]);
    snprintf(e->name, sizeof e->name, "%s", name);
    set_name(tape.names, name, e->file);
  }
}

static void watch_write(const wrap_event *w) {
  event *e = add(WRITE, tape.of[w->descriptor]);
  e->data = helper_allocate(w->bytes);
  memcpy(e->data, w->data, w->bytes);
  e->bytes = w->bytes;
  e->offset = w->offset;
}

static void watch_rename(const wrap_event *w) {
  entry *from = find(tape.names, name_of(w->path));
  assert_non_null(from);
  event *e = add(RENAME, from->file);
  snprintf(e->name, sizeof e->name, "%s", name_of(w->path));
  snprintf(e->to, sizeof e->to, "%s", name_of(w->to));
  set_name(tape.names, e->to, e->file);
  remove_name(tape.names, e->name);
}

static void watch(const wrap_event *w) {
  const char *name = w->call == WRAP_UNLINK ? name_of(w->path) : NULL;
  switch (w->call) {
  case WRAP_OPEN: watch_open(w); break;
  case WRAP_PWRITE:
    if (tape.of[w->descriptor] >= 0)
      watch_write(w);
    break;
  case WRAP_FSYNC:
    if (tape.of[w->descriptor] != NOTHING)
      add(SYNC, tape.of[w->descriptor]);
    break;
  case WRAP_RENAME: watch_rename(w); break;
  case WRAP_UNLINK:
    if (name) {
      event *e = add(UNLINK, NOTHING);
      snprintf(e->name, sizeof e->name, "%s", name);
      remove_name(tape.names, name);
    }
    break;
  default: tape.of[w->descriptor] = NOTHING; /* closed; a copy of it does not write */
  }
}

void power_record(const char *folder) {
  DIR *directory = opendir(folder);
  assert_non_null(directory);
  memset(&tape, 0, sizeof tape);
  snprintf(tape.folder, sizeof tape.folder, "%s", folder);
  for (int i = 0; i < DESCRIPTORS; i++)
    tape.of[i] = NOTHING;
  for (int i = 0; i < FILES; i++)
    tape.names[i].file = NOTHING;
  for (const struct dirent *e; (e = readdir(directory));) {
    char path[600];
    if (e->d_name[0] == '.')
      continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    tape.first[tape.files] = read_blob(path);
    set_name(tape.names, e->d_name, tape.files++);
  }
  closedir(directory);
  memcpy(tape.first_names, tape.names, sizeof tape.names);
  wrap = (wrap_fault){.active = true, .first = INT64_MAX};
  wrap_watch = watch;
}

void power_mark(int64_t mark) {
  add(MARK, NOTHING)->offset = mark;
}

void power_stop(void) {
  wrap.active = false;
  wrap_watch = NULL;
}

void power_forget(void) {
  for (int i = 0; i < tape.count; i++)
    free(tape.events[i].data);
  for (int i = 0; i < FILES; i++)
    free(tape.first[i].bytes);
  memset(&tape, 0, sizeof tape);
}

/* ---- what is on the disk at a cut ------------------------------------------------------------ */

typedef struct pending {
  const event *at[EVENTS];
  int count;
} pending;

/* What is synced, and what is not yet. */
static struct {
  blob synced[FILES];
  pending data[FILES], names;
  entry synced_names[FILES];
  int64_t mark;
} cut;

static void write_to(blob *b, int64_t offset, const unsigned char *data, size_t bytes) {
  if (bytes == 0)
    return;
  if ((size_t)offset + bytes > b->size) {
    b->bytes = realloc(b->bytes, (size_t)offset + bytes);
    memset(b->bytes + b->size, 0, (size_t)offset + bytes - b->size);
    b->size = (size_t)offset + bytes;
  }
  memcpy(b->bytes + offset, data, bytes);
}

static void apply_name(entry *names, const event *e, bool keep_old) {
  if (e->kind != UNLINK)
    set_name(names, e->kind == RENAME ? e->to : e->name, e->file);
  if (e->kind == UNLINK || (e->kind == RENAME && !keep_old))
    remove_name(names, e->name);
}

static void sync_all(int file) {
  if (file == THE_FOLDER) {
    for (int i = 0; i < cut.names.count; i++)
      apply_name(cut.synced_names, cut.names.at[i], false);
    cut.names.count = 0;
    return;
  }
  pending *p = &cut.data[file];
  for (int i = 0; i < p->count; i++)
    write_to(&cut.synced[file], p->at[i]->offset, p->at[i]->data, p->at[i]->bytes);
  p->count = 0;
}

static void begin(void) {
  memset(&cut, 0, sizeof cut);
  memcpy(cut.synced_names, tape.first_names, sizeof cut.synced_names);
  for (int i = 0; i < FILES; i++)
    if (tape.first[i].bytes)
      write_to(&cut.synced[i], 0, tape.first[i].bytes, tape.first[i].size);
}

static void end(void) {
  for (int i = 0; i < FILES; i++)
    free(cut.synced[i].bytes);
}

static void do_event(const event *e, const power_disk *disk) {
  pending *p = e->kind == WRITE ? &cut.data[e->file] : &cut.names;
  if (e->kind == MARK)
    cut.mark = e->offset;
  else if (e->kind != SYNC)
    p->at[p->count++] = e;
  else if (!(e->file == THE_FOLDER ? disk->ignores_folder_sync : disk->ignores_file_sync))
    sync_all(e->file);
}

/* ---- one state ------------------------------------------------------------------------------- */

/* Ways of losing data: none is lost, all are, only the length is kept, then random ones. */
enum { ALL, NONE, LENGTH, SOME };

/* Sectors of a torn write. */
static void write_sectors(blob *b, const event *e, helper_random *random) {
  for (size_t at = 0; at < e->bytes; at += SECTOR)
    if (helper_uniform(random) < 0.5)
      write_to(b, e->offset + (int64_t)at, e->data + at,
               e->bytes - at < SECTOR ? e->bytes - at : SECTOR);
}

static blob data_of(int file, int way, helper_random *random) {
  const pending *p = &cut.data[file];
  blob b = {NULL, 0};
  write_to(&b, 0, cut.synced[file].bytes ? cut.synced[file].bytes : (const unsigned char *)"",
           cut.synced[file].size);
  for (int i = 0; i < p->count; i++) {
    const event *e = p->at[i];
    const double chance = helper_uniform(random);
    if (way == ALL || (way >= SOME && chance < 0.4))
      write_to(&b, e->offset, e->data, e->bytes);
    else if (way >= SOME && chance < 0.7)
      write_sectors(&b, e, random);
    else if (way == LENGTH && (size_t)e->offset + e->bytes > b.size)
      write_to(&b, e->offset + (int64_t)e->bytes - 1, (const unsigned char *)"", 1);
  }
  return b;
}

/* Way 0 ... count: the first so many changes are kept; then all, with both names of what was moved;
 * then random ones. */
static void names_of(int way, helper_random *random, entry names[FILES]) {
  const pending *p = &cut.names;
  memcpy(names, cut.synced_names, sizeof cut.synced_names);
  for (int i = 0; i < p->count; i++)
    if (way <= p->count ? i < way : way == p->count + 1 || helper_uniform(random) < 0.5)
      apply_name(names, p->at[i], way == p->count + 1);
}

static void clear(const char *folder) {
  DIR *directory = opendir(folder);
  assert_non_null(directory);
  for (const struct dirent *e; (e = readdir(directory));) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (e->d_name[0] != '.')
      assert_int_equal(unlink(path), 0);
  }
  closedir(directory);
}

static void make_state(const char *folder, int data_way, int names_way, helper_random *random) {
  entry names[FILES];
  clear(folder);
  names_of(names_way, random, names);
  for (int i = 0; i < FILES; i++) {
    char path[600];
    if (names[i].file == NOTHING)
      continue;
    snprintf(path, sizeof path, "%s/%.127s", folder, names[i].name);
    blob b = data_of(names[i].file, data_way, random);
    write_blob(path, &b);
    free(b.bytes);
  }
}

/* ---- all states ------------------------------------------------------------------------------ */

static bool has_pending_data(void) {
  for (int i = 0; i < FILES; i++)
    if (cut.data[i].count)
      return true;
  return false;
}

static int64_t play_cut(const char *folder, power_check check, helper_random *random,
                        int64_t *bad) {
  const int data_ways = has_pending_data() ? SOME + RANDOM : 1;
  const int name_ways = cut.names.count ? cut.names.count + 2 + RANDOM : 1;
  for (int d = 0; d < data_ways; d++)
    for (int n = 0; n < name_ways; n++) {
      make_state(folder, d, n, random);
      *bad += !check(folder, cut.mark);
    }
  return (int64_t)data_ways * name_ways;
}

int64_t power_play(const power_disk *disk, const char *folder, power_check check, int64_t *bad) {
  helper_random random = helper_random_of(21);
  int64_t states = 0;
  *bad = 0;
  begin();
  for (int i = 0; i <= tape.count; i++) {
    states += play_cut(folder, check, &random, bad);
    if (i < tape.count)
      do_event(&tape.events[i], disk);
  }
  end();
  return states;
}
