/* Writes valid inputs of the targets of the tool: FOLDER/image, FOLDER/data and FOLDER/options,
 * which it makes if they are not there. Every format, with labels where it has them; command lines.
 * Usage: make_tool_seeds FOLDER. SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#ifdef GLOWTOOL_HAVE_ZLIB
#include <zlib.h>
#endif

#include "commands.h"
#include "make_seeds.h"

enum { HEAD = 12, MOST = 1 << 14 };

/* An input of the target `data`: what chooses options, then the files. */
typedef struct input {
  uint8_t bytes[HEAD + MOST];
  size_t size;
} input;

static input begin(void) {
  input in;
  memset(&in, 0, sizeof in);
  in.size = HEAD;
  return in;
}

static void put(input *in, const void *bytes, size_t size) {
  memcpy(in->bytes + in->size, bytes, size);
  in->size += size;
}

static void put_text(input *in, const char *text) {
  put(in, text, strlen(text));
}

static void put_ramp(input *in, size_t size, uint8_t most) {
  for (size_t i = 0; i < size; i++)
    in->bytes[in->size++] = (uint8_t)(i * 37 % most);
}

static void write_input(const char *name, const input *in) {
  seed_write("data", name, in->bytes, in->size);
}

/* What follows is the second file: 1 labels, 2 names of classes, 3 more data. */
static void write_pair(const char *name, input *in, uint8_t kind, const void *bytes, size_t size) {
  in->bytes[9] = kind;
  in->bytes[10] = (uint8_t)size;
  in->bytes[11] = (uint8_t)(size >> 8);
  put(in, bytes, size);
  write_input(name, in);
}

/* ---- IDX, CIFAR, raw records ----------------------------------------------------------------- */

static const uint8_t idx_images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2};
static const uint8_t idx_labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 7, 1, 4};

static input idx(void) {
  input in = begin();
  put(&in, idx_images, sizeof idx_images);
  put_ramp(&in, 12, 255);
  return in;
}

static void record_seeds(void) {
  input in = idx();
  write_input("idx", &in);
  write_pair("idx-labels", &in, 1, idx_labels, sizeof idx_labels);
  in = idx();
  write_pair("idx-text-labels", &in, 1, "label\ncat\ndog\ncat\n", 18);
  in = idx();
  write_pair("idx-classes", &in, 2, "zero\none\ntwo\n", 13);
  in = idx();
  in.bytes[0] = 6; /* emnist: letters, transposed */
  write_input("emnist", &in);
  in = begin();
  put_ramp(&in, 3073, 10);
  write_input("cifar10", &in);
  in = begin();
  put_ramp(&in, 3074, 20);
  in.bytes[0] = 4;
  write_input("cifar100-coarse", &in);
  in = begin();
  in.bytes[0] = 12; /* raw:3x4x4 */
  put_ramp(&in, 96, 255);
  write_input("raw", &in);
}

/* ---- NumPy ----------------------------------------------------------------------------------- */

static size_t make_npy(uint8_t *to, const char *type, const char *shape, size_t bytes) {
  char header[119];
  int length = snprintf(header, sizeof header,
                        "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
  memset(header + length, ' ', sizeof header - (size_t)length - 1);
  header[sizeof header - 1] = '\n';
  memcpy(to, "\x93NUMPY\1\0v\0", 10);
  memcpy(to + 10, header, 118);
  to[127] = '\n';
  for (size_t i = 0; i < bytes; i++)
    to[128 + i] = (uint8_t)(i % 61);
  return 128 + bytes;
}

static void npy_seed(const char *name, const char *type, const char *shape, size_t bytes,
                     uint8_t flags) {
  input in = begin();
  in.bytes[1] = flags;
  in.size += make_npy(in.bytes + in.size, type, shape, bytes);
  write_input(name, &in);
}

static void put_little(input *in, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++)
    in->bytes[in->size++] = i < 8 ? (uint8_t)(value >> 8 * i) : 0;
}

#ifdef GLOWTOOL_HAVE_ZLIB
static size_t deflate_plain(const uint8_t *plain, size_t size, uint8_t *out, size_t room,
                            int window) {
  z_stream z;
  memset(&z, 0, sizeof z);
  deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  z.next_in = (Bytef *)(uintptr_t)plain;
  z.avail_in = (uInt)size;
  z.next_out = out;
  z.avail_out = (uInt)room;
  deflate(&z, Z_FINISH);
  deflateEnd(&z);
  return room - z.avail_out;
}

/* One entry of a zip archive: its header and bytes, or its line of the directory. */
static void put_entry(input *in, const char *name, bool directory, int method, uint32_t sum,
                      size_t packed, size_t size, size_t at) {
  put_text(in, directory ? "PK\1\2" : "PK\3\4");
  put_little(in, 20, directory ? 4 : 2);
  put_little(in, 0, 2);
  put_little(in, (uint64_t)method, 2);
  put_little(in, 0, 4);
  put_little(in, sum, 4);
  put_little(in, packed, 4);
  put_little(in, size, 4);
  put_little(in, strlen(name), 2);
  put_little(in, 0, directory ? 12 : 2);
  if (directory)
    put_little(in, at, 4);
  put_text(in, name);
}

static void npz_seed(const char *name, int method) {
  static uint8_t arrays[2][1024], packed[2][1024];
  static const char *const names[2] = {"x.npy", "y.npy"};
  size_t sizes[2] = {make_npy(arrays[0], "<f4", "(3, 4)", 48),
                     make_npy(arrays[1], "<i8", "(3,)", 0)};
  size_t lengths[2], places[2];
  input in = begin();
  in.bytes[1] = 33; /* vectors, any values */
  memset(arrays[1] + sizes[1], 0, 24);
  sizes[1] += 24;
  for (int i = 0; i < 2; i++) {
    memcpy(packed[i], arrays[i], sizes[i]);
    lengths[i] =
        method ? deflate_plain(arrays[i], sizes[i], packed[i], sizeof packed[i], -15) : sizes[i];
    places[i] = in.size - HEAD;
    uint32_t sum = (uint32_t)crc32(0, arrays[i], (uInt)sizes[i]);
    put_entry(&in, names[i], false, method, sum, lengths[i], sizes[i], 0);
    put(&in, packed[i], lengths[i]);
  }
  size_t directory = in.size - HEAD;
  for (int i = 0; i < 2; i++)
    put_entry(&in, names[i], true, method, (uint32_t)crc32(0, arrays[i], (uInt)sizes[i]),
              lengths[i], sizes[i], places[i]);
  size_t bytes = in.size - HEAD - directory;
  put_text(&in, "PK\5\6");
  put_little(&in, 0, 4);
  put_little(&in, 2, 2);
  put_little(&in, 2, 2);
  put_little(&in, bytes, 4);
  put_little(&in, directory, 4);
  put_little(&in, 0, 2);
  write_input(name, &in);
}

static void gzip_seed(const char *name, const input *plain) {
  input in = begin();
  memcpy(in.bytes, plain->bytes, HEAD);
  in.size +=
      deflate_plain(plain->bytes + HEAD, plain->size - HEAD, in.bytes + HEAD, MOST, 16 + MAX_WBITS);
  write_input(name, &in);
}
#else
static void npz_seed(const char *name, int method) {
  (void)name;
  (void)method;
}

static void gzip_seed(const char *name, const input *plain) {
  (void)name;
  (void)plain;
}
#endif

static void array_seeds(void) {
  input labels = idx(), table = begin();
  uint8_t npy[256];
  npy_seed("npy-u1", "|u1", "(2, 4, 4, 3)", 96, 0);
  npy_seed("npy-planar", "|u1", "(2, 3, 4, 4)", 96, 16);
  npy_seed("npy-f4", "<f4", "(3, 2)", 24, 33);
  npy_seed("npy-f8", ">f8", "(2, 2, 2)", 64, 32);
  npy_seed("npy-f2", "<f2", "(5, 3)", 30, 33);
  npy_seed("npy-i8", "<i8", "(4,)", 32, 1);
  npy_seed("npy-b1", "|b1", "(2, 2, 2)", 8, 0);
  npz_seed("npz-stored", 0);
  npz_seed("npz-deflated", 8);
  size_t size = make_npy(npy, "<i4", "(3,)", 12);
  memset(npy + 128, 0, 12);
  write_pair("idx-npy-labels", &labels, 1, npy, size);
  labels = idx();
  gzip_seed("gzip", &labels);
  put_text(&table, "a,b\n1,2\n3,nan\n");
  table.bytes[1] = 33;
  gzip_seed("gzip-csv", &table);
}

/* ---- safetensors ----------------------------------------------------------------------------- */

/* Values that rise, then zeros. */
static void tensors_seed(const char *name, const char *header, size_t bytes, size_t zeros,
                         uint8_t flags) {
  input in = begin();
  in.bytes[1] = flags;
  put_little(&in, strlen(header), 8);
  put_text(&in, header);
  put_ramp(&in, bytes, 61);
  in.size += zeros;
  write_input(name, &in);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* `choice`: bytes 6 to 9 of the head. */
static void table_seed(const char *name, const char *text, const uint8_t choice[4]) {
  input in = begin();
  in.bytes[1] = 1;
  memcpy(in.bytes + 6, choice, 4);
  put_text(&in, text);
  write_input(name, &in);
}

static void table_seeds(void) {
  static const uint8_t none[4] = {0}, label[4] = {0, 0, 0x80, 0}, pair[4] = {0, 0x30, 0, 0},
                       condition[4] = {0, 0, 2, 0}, image[4] = {2, 0, 0, 0},
                       named[4] = {0x10, 0, 0, 0x80};
  table_seed("csv", "a,b\n1,2\n3,4.5\n-1e-3,.5\n", none);
  table_seed("csv-semicolon", "1;2\r\n3;4\r\n", none);
  table_seed("csv-quotes", "a,b,label\n1,\"2\",\"x, \"\"y\"\"\"\n3,4,z\n", label);
  table_seed("csv-columns", "c,b,a\n1,2,3\n4,5,6\n", pair);
  table_seed("csv-condition", "a\tb\n1\t2\n3\t4\n", condition);
  table_seed("csv-image", "0,64,128,255\n1,2,3,4\n", image);
  table_seed("csv-names", "label,a,b\nfirst,1,2\nsecond,3,4\n", named);
}

/* ---- command lines --------------------------------------------------------------------------- */

static void line_seed(const char *name, uint8_t command, const char *words) {
  char bytes[512];
  bytes[0] = (char)command;
  memcpy(bytes + 1, words, strlen(words));
  seed_write("options", name, bytes, 1 + strlen(words));
}

static void line_seeds(void) {
  static const char *const names[] = {
#define NAME(name, about) #name,
      COMMANDS(NAME)
#undef NAME
  };
  for (uint8_t c = 0; c < sizeof names / sizeof *names; c++)
    line_seed(names[c], c, "model.safetensors\n--data\na\nb\n--out\nx.png");
  line_seed("help", 0, "--help");
  line_seed("nothing", 1, "");
  line_seed("preset", 0, "--preset\ndigits\n--steps=10\n--lr\n1e-4");
  line_seed("resume", 0, "--resume\nfolder\n--steps\n20");
  line_seed("vector", 0, "--model\nvector\n--data\nx.csv\n--condition\na,b\n--bound\n3");
  line_seed("misspelt", 0, "--learning-rate\n1\n--bath\n3");
  line_seed("schedule", 0,
            "--data\na\n--schedule\ncosine\n--final\n0.1\n--optimizer\nsgd\n--memory\n600M");
  line_seed("rest", 3, "model\n--\n--count");
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: make_tool_seeds FOLDER\n");
    return 2;
  }
  seed_folder(argv[1], "image");
  seed_folder(argv[1], "data");
  seed_folder(argv[1], "options");
  record_seeds();
  array_seeds();
  tensors_seed("tensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24,
               0, 33);
  tensors_seed("tensors-y",
               "{\"x\":{\"dtype\":\"U8\",\"shape\":[2,2,2,1],\"data_offsets\":[0,8]},"
               "\"y\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
               8, 8, 0);
  table_seeds();
  line_seeds();
  picture_seeds();
  return 0;
}
