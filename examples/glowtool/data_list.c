/* Which pictures are in a folder: all below it, by their contents, in the order of their names.
 * With classes from folders, a folder's own folders are the classes of what is in them.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data_internal.h"

enum { DEEPEST = 64 };

/* A walk; `above` are the folders on the way, lest a link leads back into one of them. */
typedef struct walk {
  data_sources *s;
  picture_list *list;
  message error;
  struct {
    dev_t device;
    ino_t number;
  } above[DEEPEST];
  int depth;
} walk;

bool data_list_file(data_sources *s, picture_list *list, const char *path, int32_t label,
                    message error) {
  if (list->count == list->room) {
    int64_t room = list->room ? 2 * list->room : 64;
    char **paths = realloc(list->paths, (size_t)room * sizeof *paths);
    if (paths)
      list->paths = paths;
    int32_t *labels = s->options.classes_from == DATA_CLASSES_FOLDERS && paths
                          ? realloc(list->labels, (size_t)room * sizeof *labels)
                          : NULL;
    if (labels)
      list->labels = labels;
    if (!paths || (s->options.classes_from == DATA_CLASSES_FOLDERS && !labels))
      return data_fail(error, "out of memory for the names of %lld pictures", (long long)room);
    list->room = room;
  }
  if (list->labels)
    list->labels[list->count] = label;
  list->paths[list->count] = strdup(path);
  return list->paths[list->count++] || data_fail(error, "out of memory for the names of pictures");
}

static int visible_names(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static bool walk_folder(walk *w, const char *folder, int32_t label);

static bool walk_file(walk *w, const char *path, int32_t label) {
  data_kind kind = KIND_UNKNOWN;
  const char *name;
  char text[300];
  message ignored = {text, sizeof text};
  if (!data_find_kind(path, &kind, &name, ignored) || kind != KIND_PICTURE) {
    w->list->other++;
    return true;
  }
  return data_list_file(w->s, w->list, path, label, w->error);
}

static bool walk_entry(walk *w, const char *folder, const char *name, int32_t label) {
  char path[4096];
  struct stat info;
  if (data_left(w->s) <= w->list->count)
    return true;
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
    return data_fail(w->error, "%s: the path is too long", folder);
  if (name[0] == '.') {
    w->list->hidden++;
    return true;
  }
  if (stat(path, &info) != 0) { /* a link to nowhere */
    w->list->other++;
    return true;
  }
  if (!S_ISDIR(info.st_mode))
    return walk_file(w, path, label);
  if (w->s->options.classes_from == DATA_CLASSES_FOLDERS && w->depth == 1 &&
      !classes_place(&w->s->classes, name, path, &label, w->error))
    return false;
  return walk_folder(w, path, label);
}

static bool enter(walk *w, const char *folder, bool *again) {
  struct stat info;
  if (stat(folder, &info) != 0)
    return data_fail(w->error, "%s: %s", folder, strerror(errno));
  *again = false;
  for (int i = 0; i < w->depth; i++)
    *again |= w->above[i].device == info.st_dev && w->above[i].number == info.st_ino;
  if (w->depth == DEEPEST)
    return data_fail(w->error, "%s: folders in folders, %d deep", folder, DEEPEST);
  w->above[w->depth].device = info.st_dev;
  w->above[w->depth].number = info.st_ino;
  return true;
}

static bool walk_folder(walk *w, const char *folder, int32_t label) {
  struct dirent **names = NULL;
  bool again = false;
  if (!enter(w, folder, &again))
    return false;
  if (again)
    return true;
  int count = scandir(folder, &names, visible_names, by_bytes);
  if (count < 0)
    return data_fail(w->error, "%s: %s", folder, strerror(errno));
  bool ok = true;
  w->depth++;
  for (int i = 0; i < count; i++) {
    ok = ok && walk_entry(w, folder, names[i]->d_name, label);
    free(names[i]);
  }
  w->depth--;
  free(names);
  return ok;
}

bool data_list_folder(data_sources *s, picture_list *list, const char *path, message error) {
  walk *w = calloc(1, sizeof *w);
  char folder[4096];
  int64_t before = list->count, other = list->other, hidden = list->hidden;
  if (!w)
    return data_fail(error, "%s: out of memory", path);
  snprintf(folder, sizeof folder, "%s", path);
  for (size_t length = strlen(folder); length > 1 && folder[length - 1] == '/'; length--)
    folder[length - 1] = '\0';
  *w = (walk){.s = s, .list = list, .error = error};
  bool ok = walk_folder(w, folder, -1);
  free(w);
  other = list->other - other;
  hidden = list->hidden - hidden;
  if (ok && list->count == before && !other && !hidden && data_left(s) > before)
    return data_fail(error, "%s: an empty folder", path);
  if (ok && list->count == before && data_left(s) > before)
    return data_fail(error,
                     "%s: no PNG, JPEG or WebP images in this folder or below it, but %lld "
                     "other files",
                     path, (long long)(other + hidden));
  if (ok && other + hidden)
    data_note(s, "%s: %lld files that are no PNG, JPEG or WebP images were left out", path,
              (long long)(other + hidden));
  return ok;
}

void data_list_free(picture_list *list) {
  for (int64_t i = 0; i < list->count; i++)
    free(list->paths[i]);
  free(list->paths);
  free(list->labels);
  *list = (picture_list){0};
}
