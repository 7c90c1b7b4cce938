/* Filling a model from a tensor file by names. First every tensor of the model is looked up under
 * the name that the caller's function gives it, and types and shapes are compared. Then all values
 * are converted into memory of their own, so that a file that ends badly changes nothing; they and
 * the model's change places, and go back if the layers cannot prepare them.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/host.h"
#include "io/io.h"

enum {
  BLOCK = 2048,     /* elements that are converted at a time, of 8 bytes at most */
  FILL_LACKED = -1, /* instead of a place in the file: it has no such tensor; */
  FILL_PASSED = -2  /* the caller leaves the tensor as it is */
};

typedef struct filling {
  glow_context *context;
  glow_model *model;
  glow_tensor_file *file;
  glow_fill_options options;
  glow_fill_report report;
  int64_t *places;     /* [tensors of the model]: of the tensor in the file, or FILL_... */
  unsigned char *used; /* [tensors of the file]: 1: the model asks for it */
  char *name;          /* [name_size]: what the file calls a tensor */
  size_t name_size;
  int32_t first_lacked; /* tensor of the model; of interest if report.missing is not 0 */
  float *values;        /* 4-byte elements of all that is filled, one tensor after the other */
} filling;

static void fill_note(const filling *f, int32_t what, const char *name) {
  if (f->options.note)
    f->options.note(what, name, f->options.note_payload);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Puts the file's name of a tensor into f->name. */
static glow_status fill_rename(const filling *f, const char *name) {
  f->name[0] = '\0'; /* the last byte is 0 until a renaming function fills it, which ends all */
  if (!f->options.rename) {
    strncpy(f->name, name, f->name_size - 1);
    return GLOW_OK;
  }
  glow_status status = f->options.rename(name, f->name, f->name_size, f->options.rename_payload);
  if (status != GLOW_OK)
    return glow_error(status, "the renaming function failed for tensor '%s': %s", name,
                      glow_status_text(status));
  if (memchr(f->name, '\0', f->name_size))
    return GLOW_OK;
  return glow_error(GLOW_E_ARGUMENT,
                    "the renaming function gave tensor '%s' a name that does not end within %zu "
                    "bytes",
                    name, f->name_size);
}

/* Moves *at on to the next side that is not 1; 1 after the last. */
static int64_t fill_next_side(int32_t rank, const int64_t *dims, int32_t *at) {
  while (*at < rank && dims[*at] == 1)
    (*at)++;
  return *at < rank ? dims[(*at)++] : 1;
}

/* Are the shapes the same but for sides of 1? */
static bool fill_shapes_fit(const glow_tensor_info *info, const glow__entry *e) {
  int32_t mine = 0, its = 0;
  while (mine < info->rank || its < e->rank)
    if (fill_next_side(info->rank, info->dims, &mine) != fill_next_side(e->rank, e->dims, &its))
      return false;
  return true;
}

static glow_status fill_compare(const glow_tensor_info *info, const glow__entry *e) {
  char found[256], wanted[256];
  bool real = info->type == GLOW_TYPE_F32;
  if (!(real ? glow__type_is_real(e->type) : glow__type_is_whole(e->type)))
    return glow_error(GLOW_E_FORMAT, "tensor '%.200s' is of type %s; '%s' takes %s", e->name,
                      glow__type_name(e->type), info->name,
                      real ? "F64, F32, BF16 or F16" : "I64 or I32");
  if (fill_shapes_fit(info, e))
    return GLOW_OK;
  return glow_error(GLOW_E_FORMAT, "tensor '%.200s' has the shape %s; '%s' has %s", e->name,
                    glow__dims_text(e->rank, e->dims, found, sizeof found), info->name,
                    glow__dims_text(info->rank, info->dims, wanted, sizeof wanted));
}

static void fill_lack(filling *f, int32_t tensor, const char *name) {
  f->first_lacked = f->report.missing ? f->first_lacked : tensor;
  f->report.missing++;
  f->places[tensor] = FILL_LACKED;
  fill_note(f, GLOW_TENSOR_MISSING, name);
}

static glow_status fill_match(filling *f, int32_t tensor) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  GLOW_TRY(glow_model_tensor(f->model, tensor, &info));
  GLOW_TRY(fill_rename(f, info.name));
  if (!*f->name) {
    f->report.left++;
    f->places[tensor] = FILL_PASSED;
    fill_note(f, GLOW_TENSOR_LEFT, info.name);
    return GLOW_OK;
  }
  int64_t place = glow_tensor_file_index(f->file, f->name);
  if (place < 0) {
    fill_lack(f, tensor, info.name);
    return GLOW_OK;
  }
  f->places[tensor] = place;
  f->used[place] = 1;
  f->report.filled++;
  return fill_compare(&info, glow__tensor_file_entry(f->file, place));
}

static void fill_count_unused(filling *f) {
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(f->file); i++)
    if (!f->used[i]) {
      f->report.unused++;
      fill_note(f, GLOW_TENSOR_UNUSED, glow__tensor_file_entry(f->file, i)->name);
    }
}

/* f->name is renewed, for the message. */
static glow_status fill_refuse_missing(const filling *f) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  GLOW_TRY(glow_model_tensor(f->model, f->first_lacked, &info));
  GLOW_TRY(fill_rename(f, info.name));
  return glow_error(GLOW_E_NOT_FOUND,
                    "the file has no tensor '%.200s' for the model's '%s'; %lld of %d tensors are "
                    "missing (with `partial` they keep their values)",
                    f->name, info.name, (long long)f->report.missing,
                    (int)glow_model_tensor_count(f->model));
}

static glow_status fill_match_all(filling *f) {
  for (int32_t i = 0; i < glow_model_tensor_count(f->model); i++)
    GLOW_TRY(fill_match(f, i));
  fill_count_unused(f);
  return f->report.missing && !f->options.partial ? fill_refuse_missing(f) : GLOW_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

static glow_status fill_real(const glow__entry *e, int64_t number, double value, float *to) {
  if (!isfinite(value))
    return glow_error(GLOW_E_FORMAT, "tensor '%.200s': element %lld is not finite", e->name,
                      (long long)number);
  *to = (float)value; /* to the nearest, ties to even */
  if (isfinite(*to))
    return GLOW_OK;
  return glow_error(GLOW_E_FORMAT, "tensor '%.200s': element %lld is %g, too large for float32",
                    e->name, (long long)number, value);
}

static glow_status fill_whole(const glow__entry *e, int64_t number, int64_t value, int32_t *to) {
  *to = (int32_t)value;
  if (*to == value)
    return GLOW_OK;
  return glow_error(GLOW_E_FORMAT, "tensor '%.200s': element %lld is %lld, too large for int32",
                    e->name, (long long)number, (long long)value);
}

static glow_status fill_convert(const glow__entry *e, int64_t first, int64_t count,
                                const unsigned char *from, float *to) {
  bool real = glow__type_is_real(e->type);
  for (int64_t i = 0; i < count; i++) {
    const unsigned char *at = from + i * e->size;
    GLOW_TRY(
        real ? fill_real(e, first + i, glow__real_at(at, e->type), to + i)
             : fill_whole(e, first + i, glow__whole_at(at, e->type), (int32_t *)(void *)(to + i)));
  }
  return GLOW_OK;
}

static glow_status fill_read(const filling *f, const glow__entry *e, float *to) {
  unsigned char block[8 * BLOCK];
  int64_t size = e->size, count = e->bytes / size;
  for (int64_t at = 0; at < count; at += BLOCK) {
    int64_t here = count - at < BLOCK ? count - at : BLOCK;
    GLOW_TRY(glow__tensor_file_copy(f->file, e->begin + at * size, block, here * size, size));
    GLOW_TRY(fill_convert(e, at, here, block, to + at));
  }
  return GLOW_OK;
}

/* Calls `visit` for each tensor that is filled, with its part of f->values. */
static glow_status fill_each(filling *f, glow_status (*visit)(filling *f, int32_t tensor,
                                                              int64_t elements, float *values)) {
  float *values = f->values;
  for (int32_t i = 0; i < glow_model_tensor_count(f->model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(f->model, i, &info));
    if (f->places[i] < 0)
      continue;
    GLOW_TRY(visit(f, i, info.elements, values));
    values += f->values ? info.elements : 0;
  }
  return GLOW_OK;
}

static glow_status fill_visit_read(filling *f, int32_t tensor, int64_t elements, float *values) {
  (void)elements;
  return fill_read(f, glow__tensor_file_entry(f->file, f->places[tensor]), values);
}

static glow_status fill_visit_exchange(filling *f, int32_t tensor, int64_t elements,
                                       float *values) {
  float *mine = glow__model_tensor_data(f->model, tensor);
  for (int64_t i = 0; i < elements; i++) {
    float kept;
    memcpy(&kept, mine + i, sizeof kept); /* bits, which may be integers */
    memcpy(mine + i, values + i, sizeof kept);
    memcpy(values + i, &kept, sizeof kept);
  }
  return GLOW_OK;
}

static int64_t fill_elements(const filling *f) {
  int64_t sum = 0;
  for (int32_t i = 0; i < glow_model_tensor_count(f->model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    if (f->places[i] >= 0 && glow_model_tensor(f->model, i, &info) == GLOW_OK)
      sum += info.elements;
  }
  return sum;
}

/* The old values come back, and what was derived from them, if the new ones cannot be prepared. */
static glow_status fill_apply(filling *f) {
  bool was_prepared = glow__model_prepared(f->model);
  fill_each(f, fill_visit_exchange);
  glow_status status = glow_model_prepare(f->model);
  if (status == GLOW_OK)
    return GLOW_OK;
  fill_each(f, fill_visit_exchange);
  if (was_prepared)
    GLOW_TRY(glow_model_prepare(f->model));
  return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static glow_status fill_values(filling *f) {
  /* at most as many as the model has, so there is no overflow */
  f->values = glow__allocate_unset(f->context, (size_t)fill_elements(f) * sizeof *f->values + 1);
  if (!f->values)
    return GLOW_E_MEMORY;
  GLOW_TRY(fill_each(f, fill_visit_read));
  GLOW_TRY(fill_apply(f));
  return f->report.missing || f->report.left ? GLOW_OK : glow_model_set_initialised(f->model);
}

static glow_status fill_run(filling *f, const glow_limits *limits) {
  f->name_size = (size_t)limits->name_bytes + 1;
  f->places =
      glow_allocate(f->context, (size_t)glow_model_tensor_count(f->model) * sizeof *f->places + 1);
  f->used = glow_allocate(f->context, (size_t)glow_tensor_file_tensor_count(f->file) + 1);
  f->name = glow_allocate(f->context, f->name_size);
  if (!f->places || !f->used || !f->name)
    return GLOW_E_MEMORY;
  glow_status status = fill_match_all(f);
  return status == GLOW_OK ? fill_values(f) : status;
}

/* What is wrong is told with the file's name. */
static glow_status fill_blame(const filling *f, glow_status status) {
  if (status == GLOW_E_NOT_FOUND)
    glow__tensor_file_blame(f->file, GLOW_E_FORMAT);
  return glow__tensor_file_blame(f->file, status);
}

static glow_status fill_from(filling *f, const glow_input *input) {
  glow_input in;
  glow_limits limits;
  GLOW_TRY(glow__input_copy(input, &in, &limits));
  if (!(in.flags & GLOW_INPUT_MAP))
    in.flags = GLOW_INPUT_LAZY; /* elements go straight to where they are converted */
  GLOW_TRY(glow_tensor_file_open_input(f->context, &in, &f->file));
  glow_status status = fill_run(f, &limits);
  if (status != GLOW_OK)
    fill_blame(f, status);
  glow_release(f->context, f->places);
  glow_release(f->context, f->used);
  glow_release(f->context, f->name);
  glow_release(f->context, f->values);
  glow_tensor_file_close(&f->file);
  return status;
}

static glow_status fill_report(const filling *f, glow_fill_report *out) {
  return out ? glow__struct_fill(out, &f->report, sizeof f->report, sizeof f->report,
                                 "glow_fill_report")
             : GLOW_OK;
}

glow_status glow_model_fill(glow_model *model, const glow_input *input,
                            const glow_fill_options *options, glow_fill_report *report) {
  filling f = {.model = model, .options = GLOW_FILL_OPTIONS_INIT, .report = GLOW_FILL_REPORT_INIT};
  GLOW_LIVE(model, MODEL);
  if (!model || !input)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_fill: NULL argument");
  GLOW_TRY(fill_report(&f, report));
  GLOW_TRY(glow__options_copy(&f.options, sizeof f.options, options, sizeof f.options,
                              "glow_fill_options"));
  if ((f.options.partial & ~1) || f.options.reserved)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_fill_options: partial is %d, reserved %d; they are 0 or 1, and 0",
                      (int)f.options.partial, (int)f.options.reserved);
  if (glow_model_is_inference_form(model))
    return glow_error(GLOW_E_STATE, "an inference form cannot be filled: fill the model that it "
                                    "was made from, and make it again");
  f.context = glow__model_context(model);
  glow_status status = fill_from(&f, input);
  GLOW_TRY(fill_report(&f, report));
  return status;
}
