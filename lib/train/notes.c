/* A trainer's notes: texts under keys, from its checkpoint. SPDX-License-Identifier: MIT */
#include <string.h>

#include "train/train.h"

glow_status glow__notes_add(glow_context *context, glow__note **list, const char *key,
                            const char *value) {
  glow__note *note = glow_allocate(context, sizeof *note);
  if (!note)
    return GLOW_E_MEMORY;
  note->next = *list;
  *list = note; /* at once, so that glow__notes_destroy finds it even half made */
  note->key = glow__strdup(context, key);
  note->value = glow__strdup(context, value);
  return note->key && note->value ? GLOW_OK : GLOW_E_MEMORY;
}

const char *glow__notes_find(const glow__note *list, const char *key) {
  for (; list; list = list->next)
    if (strcmp(list->key, key) == 0)
      return list->value;
  return NULL;
}

void glow__notes_destroy(glow_context *context, glow__note **list) {
  while (*list) {
    glow__note *note = *list;
    *list = note->next;
    glow_release(context, note->key);
    glow_release(context, note->value);
    glow_release(context, note);
  }
}
