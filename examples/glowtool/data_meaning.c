/* Options that mean nothing to the data that were found: refused by name.
 * SPDX-License-Identifier: MIT */
#include "data_internal.h"

typedef struct meaning {
  const char *option;
  bool given;
  uint32_t needs; /* one of these must have been met */
  const char *what;
} meaning;

bool data_check_meaning(const data_sources *s, message error) {
  const data_options *o = &s->options;
  static const char table[] = "a table", csv[] = "a table of text", pictures[] = "pictures";
  const meaning all[] = {
      {"data-columns", o->columns != NULL, MET_TABLE, table},
      {"condition", o->condition != NULL, MET_TABLE, table},
      {"label-column", o->label_column != NULL, MET_TABLE, table},
      {"shape", o->shape != NULL, MET_TABLE, table},
      {"id-column", o->id_column != NULL, MET_CSV, csv},
      {"header", o->header != DATA_HEADER_AUTO, MET_CSV, csv},
      {"tensor", o->tensor && !o->own_names, MET_NAMED, "files of named arrays"},
      {"planar", o->planar, MET_ARRAY | MET_TABLE, "arrays"},
      {"background", o->background != NULL, MET_PICTURES, pictures},
      {"classes-from", o->classes_from == DATA_CLASSES_FOLDERS, MET_PICTURES, pictures},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all && !o->shared; i++)
    if (all[i].given && !(s->met & all[i].needs))
      return data_fail(error, "--%s means nothing here: the data are not %s", all[i].option,
                       all[i].what);
  return true;
}
