/* The memory of reading a file, in the worst case, is at most MULTIPLE times its size and a
 * constant. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <stddef.h>

/* MATRIX: a model that is whole and of one large matrix, of which copies in double are made. */
enum { MULTIPLE = 8, MATRIX = 24, CONSTANT = 1 << 18, TEXT = 1 << 21 };

/* ---- counting -------------------------------------------------------------------------------- */

static size_t live, peak;

static void *counted_alloc(size_t size) {
  size_t *block = malloc(size + sizeof(max_align_t));
  if (!block)
    return NULL;
  *block = size;
  live += size;
  peak = live > peak ? live : peak;
  return (char *)block + sizeof(max_align_t);
}

static void counted_free(void *memory) {
  if (!memory)
    return;
  size_t *block = (size_t *)(void *)((char *)memory - sizeof(max_align_t));
  live -= *block;
  free(block);
}

static void *context_alloc(size_t size, void *payload) {
  (void)payload;
  return counted_alloc(size);
}

static void context_free(void *memory, void *payload) {
  (void)payload;
  counted_free(memory);
}

/* ---- files that are made of texts ------------------------------------------------------------ */

typedef struct text {
  char *bytes;
  size_t size, capacity;
} text;

static void add_bytes(text *t, const void *bytes, size_t count) {
  while (t->size + count > t->capacity) {
    t->capacity = t->capacity ? 2 * t->capacity : 1 << 16;
    t->bytes = realloc(t->bytes, t->capacity);
    assert_non_null(t->bytes);
  }
  memcpy(t->bytes + t->size, bytes, count);
  t->size += count;
}

__attribute__((format(printf, 2, 3))) static void add(text *t, const char *format, ...) {
  char part[512];
  va_list list;
  va_start(list, format);
  int count = vsnprintf(part, sizeof part, format, list);
  va_end(list);
  assert_true(count >= 0 && (size_t)count < sizeof part);
  add_bytes(t, part, (size_t)count);
}

/* Length and text of a header. */
static void add_header(text *file, const text *header) {
  unsigned char length[8];
  for (int i = 0; i < 8; i++)
    length[i] = (unsigned char)((uint64_t)header->size >> 8 * i);
  add_bytes(file, length, sizeof length);
  add_bytes(file, header->bytes, header->size);
}

/* Loads the header and `data` bytes of zeros and numbers 1.0, as a model or as tensors. */
static void measure_to(const char *what, text *header, size_t data, bool model,
                       glow_status expected, size_t multiple) {
  text file = {NULL, 0, 0};
  glow_input in = GLOW_INPUT_INIT;
  glow_allocator allocator = GLOW_ALLOCATOR_INIT;
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  glow_model *loaded = NULL;
  glow_tensor_file *tensors = NULL;
  add_header(&file, header);
  char *zeros = calloc(1, data + 1);
  assert_non_null(zeros);
  add_bytes(&file, zeros, data);
  free(zeros);
  free(header->bytes);
  *header = (text){NULL, 0, 0};
  in.data = file.bytes;
  in.size = (int64_t)file.size;
  allocator.allocate = context_alloc;
  allocator.release = context_free;
  o.allocator = &allocator;
  OK(glow_context_create(&o, &context));
  peak = live;
  size_t before = live;
  glow_status status = model ? glow_model_load_input(context, &in, &loaded)
                             : glow_tensor_file_open_input(context, &in, &tensors);
  double times = (double)(peak - before) / (double)file.size;
  printf("%-36s %8zu bytes, peak %.2f times: %s\n", what, file.size, times,
         status == GLOW_OK ? "" : glow_last_error());
  assert_int_equal(status, expected);
  assert_true(peak - before <= multiple * file.size + CONSTANT);
  glow_model_destroy(&loaded);
  glow_tensor_file_close(&tensors);
  assert_int_equal(live, before);
  glow_context_destroy(&context);
  free(file.bytes);
}

static void measure(const char *what, text *header, size_t data, bool model, glow_status expected) {
  measure_to(what, header, data, model, expected, MULTIPLE);
}

/* ---- headers --------------------------------------------------------------------------------- */

static void test_tiny_tensors(void **state) {
  text t = {NULL, 0, 0};
  int count = 0;
  (void)state;
  add(&t, "{");
  for (; t.size < TEXT; count++)
    add(&t, "%s\"%x\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[%d,%d]}", count ? "," : "",
        count, count, count + 1);
  add(&t, "}");
  measure("tensors of one byte", &t, (size_t)count, false, GLOW_OK);
  add(&t, "{");
  for (count = 0; t.size < TEXT; count++)
    add(&t, "%s\"%x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", count ? "," : "",
        count);
  add(&t, "}");
  measure("empty tensors", &t, 0, false, GLOW_OK);
  add(&t, "{");
  for (count = 0; t.size < TEXT; count++)
    add(&t, "%s\"%x\":{}", count ? "," : "", count);
  add(&t, "}");
  measure("no tensors at all", &t, 0, false, GLOW_E_FORMAT);
}

static void repeat(text *t, const char *part) {
  while (t->size < TEXT)
    add(t, "%s", part);
}

static void test_long_values(void **state) {
  text t = {NULL, 0, 0};
  (void)state;
  add(&t, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1");
  repeat(&t, ",1");
  add(&t, "],\"data_offsets\":[0,1]}}");
  measure("one shape", &t, 1, false, GLOW_E_LIMIT);
  add(&t, "{\"a\":");
  repeat(&t, "[");
  measure("deep nesting", &t, 1, false, GLOW_E_FORMAT);
  add(&t, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],");
  repeat(&t, "\"\":0,");
  add(&t, "}}");
  measure("one entry of many keys", &t, 1, false, GLOW_E_FORMAT);
  add(&t, "{\"");
  repeat(&t, "name");
  add(&t, "\":1}");
  measure("one name", &t, 1, false, GLOW_E_LIMIT);
}

static void test_metadata(void **state) {
  text t = {NULL, 0, 0};
  (void)state;
  add(&t, "{\"__metadata__\":{\"k\":\"");
  repeat(&t, "text");
  add(&t, "\"}}");
  measure("one text of metadata", &t, 0, false, GLOW_OK);
  add(&t, "{\"__metadata__\":{\"k\":\"");
  repeat(&t, "\\n");
  add(&t, "\"}}");
  measure("one text of escapes", &t, 0, false, GLOW_OK);
  add(&t, "{\"__metadata__\":{\"");
  repeat(&t, "text");
  add(&t, "\":\"\"}}");
  measure("one key of metadata", &t, 0, false, GLOW_OK);
  add(&t, "{\"__metadata__\":{");
  for (int i = 0; t.size < TEXT; i++)
    add(&t, "%s\"%x\":\"\"", i ? "," : "", i);
  add(&t, "}}");
  measure("many keys of metadata", &t, 0, false, GLOW_OK);
  add(&t, "{\"__metadata__\":{\"k\":[");
  repeat(&t, "[],");
  add(&t, "}}");
  measure("a list in the metadata", &t, 0, false, GLOW_E_FORMAT);
}

/* ---- architectures --------------------------------------------------------------------------- */

static void begin_model(text *t, int channels) {
  add(t,
      "{\"__metadata__\":{\"glow.format_version\":\"1.1\",\"glow.model\":\"{\\\"input\\\":[1,1,%d],"
      "\\\"bits\\\":0,\\\"initialised\\\":true,\\\"layers\\\":[",
      channels);
}

static void add_layer(text *t, int number, const char *type, const char *options) {
  add(t, "{\\\"name\\\":\\\"%x\\\",\\\"type\\\":\\\"%s\\\",\\\"options\\\":{%s}},", number, type,
      options);
}

static void end_model(text *t) {
  add(t, "{\\\"name\\\":\\\"p\\\",\\\"type\\\":\\\"prior\\\",\\\"options\\\":{\\\"learned\\\":0}}]}"
         "\"}");
}

static void add_tensor(text *t, const char *name, int number, const char *type, const char *shape,
                       size_t bytes, size_t *data) {
  add(t, ",\"%x.%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", number, name,
      type, shape, *data, *data + bytes);
  *data += bytes;
}

enum { LAYERS = 8000 };

static void test_many_layers(void **state) {
  text t = {NULL, 0, 0};
  size_t data = 0;
  (void)state;
  begin_model(&t, 1);
  for (int i = 0; i < LAYERS; i++)
    add_layer(&t, i, "permute", "");
  end_model(&t);
  for (int i = 0; i < LAYERS; i++)
    add_tensor(&t, "index", i, "I32", "[1]", 4, &data);
  add(&t, "}");
  measure("permutations of one channel", &t, data, true, GLOW_OK);
  begin_model(&t, 1);
  data = 0;
  for (int i = 0; i < LAYERS; i++)
    add_layer(&t, i, "actnorm", "");
  end_model(&t);
  for (int i = 0; i < LAYERS; i++) {
    add_tensor(&t, "bias", i, "F32", "[1]", 4, &data);
    add_tensor(&t, "logs", i, "BF16", "[1]", 2, &data);
  }
  add(&t, "}");
  measure("actnorms of one channel", &t, data, true, GLOW_OK);
  begin_model(&t, 1);
  for (int i = 0; i < LAYERS; i++)
    add_layer(&t, i, "actnorm", "");
  end_model(&t);
  add(&t, "}");
  measure("layers without tensors", &t, 0, true, GLOW_E_FORMAT);
  begin_model(&t, 1);
  while (t.size < TEXT)
    add(&t, "0,");
  end_model(&t);
  add(&t, "}");
  measure("layers that are none", &t, 0, true, GLOW_E_LIMIT);
}

static void test_couplings(void **state) {
  static const char *const names[] = {"net.conv1.weight", "net.conv1.bias", "net.conv2.weight",
                                      "net.conv2.bias",   "net.conv3.bias", "net.conv3.logs",
                                      "net.conv3.weight"};
  static const char *const shapes[] = {"[1,1,3,3]", "[1]", "[1,1,1,1]", "[1]",
                                       "[1]",       "[1]", "[1,1,3,3]"};
  static const size_t sizes[] = {18, 2, 2, 2, 2, 2, 18};
  text t = {NULL, 0, 0};
  size_t data = 0;
  (void)state;
  begin_model(&t, 2);
  for (int i = 0; i < LAYERS; i++)
    add_layer(&t, i, "coupling",
              "\\\"kind\\\":\\\"additive\\\",\\\"net.hidden\\\":1,\\\"net.actnorm\\\":0");
  end_model(&t);
  for (int i = 0; i < LAYERS; i++)
    for (int k = 0; k < 7; k++)
      add_tensor(&t, names[k], i, "BF16", shapes[k], sizes[k], &data);
  add(&t, "}");
  measure("couplings of two channels", &t, data, true, GLOW_OK);
}

static void test_one_layer(void **state) {
  text t = {NULL, 0, 0};
  size_t data = 0;
  (void)state;
  begin_model(&t, 1);
  add(&t, "{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"actnorm\\\",\\\"options\\\":{");
  for (int i = 0; t.size < TEXT; i++)
    add(&t, "\\\"%x\\\":1,", i);
  add(&t, "}}");
  end_model(&t);
  add(&t, "}");
  measure("one layer of many options", &t, 0, true, GLOW_E_FORMAT);
  begin_model(&t, 1024);
  add_layer(&t, 0, "invconv", "\\\"lu\\\":0");
  end_model(&t);
  add_tensor(&t, "weight", 0, "BF16", "[1024,1024]", 2 << 20, &data);
  add(&t, "}");
  measure_to("one matrix, singular, in bfloat16", &t, data, true, GLOW_E_FORMAT, MATRIX);
  data = 0;
  begin_model(&t, 1024);
  add_layer(&t, 0, "invconv", "\\\"lu\\\":1");
  end_model(&t);
  add_tensor(&t, "lower", 0, "BF16", "[1024,1024]", 2 << 20, &data);
  add_tensor(&t, "upper", 0, "BF16", "[1024,1024]", 2 << 20, &data);
  add_tensor(&t, "log_s", 0, "BF16", "[1024]", 2048, &data);
  add_tensor(&t, "sign_s", 0, "BF16", "[1024]", 2048, &data);
  add_tensor(&t, "perm", 0, "I32", "[1024]", 4096, &data);
  add(&t, "}");
  measure_to("one LU form, singular, in bfloat16", &t, data, true, GLOW_E_FORMAT, MATRIX);
}

/* ---- weights by name ------------------------------------------------------------------------- */

enum { SIDE = 512 };

static glow_model *one_matrix(glow_context *context) {
  const glow_shape shape = {1, 1, SIDE};
  glow_builder_options o = GLOW_BUILDER_OPTIONS_INIT;
  glow_invconv_options plain = GLOW_INVCONV_OPTIONS_INIT;
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  o.bits = 0;
  plain.lu = 0;
  OK(glow_builder_create(context, &shape, &o, &builder));
  OK(glow_invconv_create(context, &plain, &layer));
  OK(glow_builder_add(builder, "mix", &layer));
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  return model;
}

/* Besides the header, a copy of what is filled, also if the file is of two bytes an element. */
static void test_fill(void **state) {
  glow_allocator allocator = GLOW_ALLOCATOR_INIT;
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_fill_options partial = GLOW_FILL_OPTIONS_INIT;
  glow_context *context = NULL;
  glow_input in = GLOW_INPUT_INIT;
  text header = {NULL, 0, 0}, file = {NULL, 0, 0};
  const size_t bytes = (size_t)2 * SIDE * SIDE;
  (void)state;
  add(&header, "{\"mix.weight\":{\"dtype\":\"BF16\",\"shape\":[%d,%d],\"data_offsets\":[0,%zu]}}",
      SIDE, SIDE, bytes);
  add_header(&file, &header);
  unsigned char *identity = calloc(bytes, 1);
  assert_non_null(identity);
  for (int i = 0; i < SIDE; i++) { /* 1.0 is 0x3f80 */
    identity[2 * (i * SIDE + i)] = 0x80;
    identity[2 * (i * SIDE + i) + 1] = 0x3f;
  }
  add_bytes(&file, identity, bytes);
  free(identity);
  in.data = file.bytes;
  in.size = (int64_t)file.size;
  partial.partial = 1;
  allocator.allocate = context_alloc;
  allocator.release = context_free;
  o.allocator = &allocator;
  OK(glow_context_create(&o, &context));
  glow_model *model = one_matrix(context);
  size_t before = live;
  peak = live;
  OK(glow_model_fill(model, &in, &partial, NULL));
  assert_int_equal(live, before);
  assert_true(peak - before > 2 * bytes);
  assert_true(peak - before <= 2 * bytes + CONSTANT);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  free(header.bytes);
  free(file.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tiny_tensors), cmocka_unit_test(test_long_values),
      cmocka_unit_test(test_metadata),     cmocka_unit_test(test_many_layers),
      cmocka_unit_test(test_couplings),    cmocka_unit_test(test_one_layer),
      cmocka_unit_test(test_fill),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
