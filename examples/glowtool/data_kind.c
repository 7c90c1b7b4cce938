/* What a file is, by its contents: first bytes, and for CIFAR's records, which have no mark, sizes
 * and labels. SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "data_internal.h"

enum { START = 4096 };

typedef struct magic {
  size_t at, size;
  const char *bytes;
  data_kind kind;
  const char *name;
} magic;

static const magic magics[] = {
    {0, 8, "\x89PNG\r\n\x1a\n", KIND_PICTURE, "a PNG image"},
    {0, 3, "\xff\xd8\xff", KIND_PICTURE, "a JPEG image"},
    {8, 4, "WEBP", KIND_PICTURE, "a WebP image"},
    {0, 4, "\0\0\x08\x03", KIND_IDX, "an IDX file of images"},
    {0, 4, "\0\0\x08\x01", KIND_IDX_LABELS, "an IDX file of labels"},
    {0, 6, "\x93NUMPY", KIND_NPY, "a NumPy array"},
    {0, 4, "PK\3\4", KIND_ZIP, "a zip archive (such as .npz)"},
    {0, 4, "PK\5\6", KIND_ZIP, "an empty zip archive"},
    {0, 6, "GIF87a", KIND_OTHER, "a GIF image"},
    {0, 6, "GIF89a", KIND_OTHER, "a GIF image"},
    {0, 4, "II*\0", KIND_OTHER, "a TIFF image"},
    {0, 4, "MM\0*", KIND_OTHER, "a TIFF image"},
    {4, 8, "ftypavif", KIND_OTHER, "an AVIF image"},
    {4, 8, "ftypheic", KIND_OTHER, "an HEIC image"},
    {4, 8, "ftypheix", KIND_OTHER, "an HEIC image"},
    {4, 8, "ftypmif1", KIND_OTHER, "an HEIF image"},
    {0, 12, "\0\0\0\x0cJXL \r\n\x87\n", KIND_OTHER, "a JPEG XL image"},
    {0, 2, "\xff\x0a", KIND_OTHER, "a JPEG XL image"},
    {0, 12, "\0\0\0\x0cjP  \r\n\x87\n", KIND_OTHER, "a JPEG 2000 image"},
    {0, 4, "8BPS", KIND_OTHER, "a Photoshop document"},
    {0, 5, "%PDF-", KIND_OTHER, "a PDF document"},
    {257, 5, "ustar", KIND_OTHER, "a tar archive: unpack it"},
    {0, 6, "\xfd\x37zXZ\0", KIND_OTHER, "xz-compressed: unpack it"},
    {0, 4, "\x28\xb5\x2f\xfd", KIND_OTHER, "Zstandard-compressed: unpack it"},
    {0, 3, "BZh", KIND_OTHER, "bzip2-compressed: unpack it"},
    {0, 6, "7z\xbc\xaf\x27\x1c", KIND_OTHER, "a 7-Zip archive: unpack it"},
    {0, 8, "\x89HDF\r\n\x1a\n", KIND_OTHER, "an HDF5 file: save its arrays as .npy"},
    {0, 4, "PAR1", KIND_OTHER, "a Parquet file: save its table as CSV or .npy"},
    {0, 6, "MATLAB", KIND_OTHER, "a MATLAB file: save its arrays as .npy"},
    {0, 2, "\x80\2", KIND_OTHER, "a Python pickle, which is not read: it can run programs"},
    {0, 2, "\x80\3", KIND_OTHER, "a Python pickle, which is not read: it can run programs"},
    {0, 2, "\x80\4", KIND_OTHER, "a Python pickle, which is not read: it can run programs"},
    {0, 2, "BM", KIND_OTHER, "a BMP image"},
};

/* u64 length of the header, which is a JSON object. */
static bool is_tensors(const uint8_t *start, size_t got) {
  return got > 9 && start[8] == '{' && start[4] == 0 && start[5] == 0 && start[6] == 0 &&
         start[7] == 0;
}

/* Printable, in UTF-8 or Latin-1, without a NUL; half of it ASCII, as numbers are. */
static bool is_text(const uint8_t *start, size_t got) {
  size_t plain = 0;
  for (size_t i = 0; i < got; i++) {
    if (start[i] == 0x7F || (start[i] < 0x20 && !isspace(start[i])))
      return false;
    plain += start[i] < 0x80;
  }
  return plain > 0 && 2 * plain >= got;
}

/* Records of a label (CIFAR-100: two) and 3072 bytes. The labels of all that are looked at fit. */
static bool is_cifar(data_file *f, int64_t size, int64_t record, const uint8_t *most,
                     message error) {
  if (size < record || size % record)
    return false;
  int64_t records = size / record, step = records < 64 ? 1 : records / 64;
  for (int64_t i = 0; i < records; i += step) {
    uint8_t labels[2];
    if (!data_file_read(f, i * record, labels, 2, error) || labels[0] >= most[0] ||
        (record == 3074 && labels[1] >= most[1]))
      return false;
  }
  return true;
}

static bool find_records(data_file *f, data_kind *kind, const char **name, message error) {
  static const uint8_t ten[] = {10, 0}, hundred[] = {20, 100};
  int64_t size = 0;
  if (!data_file_size(f, &size, error))
    return false;
  if (is_cifar(f, size, 3073, ten, error)) {
    *kind = KIND_CIFAR10;
    *name = "CIFAR-10 records";
  } else if (is_cifar(f, size, 3074, hundred, error)) {
    *kind = KIND_CIFAR100;
    *name = "CIFAR-100 records";
  }
  return true;
}

/* torch.save() writes a zip archive whose first file is NAME/data.pkl. */
static bool is_torch(const uint8_t *start, size_t got) {
  static const char name[] = "/data.pkl";
  for (size_t i = 30; i + sizeof name <= got && i < 300; i++)
    if (memcmp(start + i, name, sizeof name - 1) == 0)
      return true;
  return false;
}

static bool look(data_file *f, data_kind *kind, const char **name, message error) {
  uint8_t start[START];
  size_t got = 0;
  if (!data_file_some(f, 0, start, sizeof start, &got, error))
    return false;
  for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
    const magic *m = &magics[i];
    if (got >= m->at + m->size && memcmp(start + m->at, m->bytes, m->size) == 0 &&
        (m->at != 8 || memcmp(start, "RIFF", 4) == 0) &&
        (m->size > 3 || !is_text(start, got))) { /* a table may begin with "BMI" */
      *kind = m->kind;
      *name = m->name;
      if (*kind == KIND_ZIP && is_torch(start, got)) {
        *kind = KIND_OTHER;
        *name = "a PyTorch file, which is not read: save its tensors as safetensors";
      }
      return true;
    }
  }
  if (is_tensors(start, got)) {
    *kind = KIND_TENSORS;
    *name = "a safetensors file";
  } else if (is_text(start, got)) {
    *kind = KIND_TEXT;
    *name = "a text";
  } else {
    return find_records(f, kind, name, error);
  }
  return true;
}

bool data_find_kind(const char *path, data_kind *kind, const char **name, message error) {
  data_file f;
  *kind = KIND_UNKNOWN;
  *name = "of no known kind";
  if (!data_file_open(&f, path, error))
    return false;
  bool ok = look(&f, kind, name, error);
  data_file_close(&f);
  return ok;
}

const char *data_kind_of(const char *path) {
  char text[64];
  message error = {text, sizeof text};
  data_kind kind;
  const char *name;
  struct stat info;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
    return "a folder";
  return data_find_kind(path, &kind, &name, error) && kind != KIND_UNKNOWN ? name : NULL;
}
