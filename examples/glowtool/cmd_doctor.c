/* glowtool doctor: what is wrong with a model, layer by layer, and what to do.
 * SPDX-License-Identifier: MIT */
#include "commands.h"
#include "common.h"
#include "data_rows.h"
#include "doctor.h"

typedef struct doctor_settings {
  const char *model, *kernels;
  sample_source source;
  int64_t count, drawn, shapes_seed, seed, batch, threads, products, max_memory;
  bool json;
} doctor_settings;

#define FIELD(name) offsetof(doctor_settings, name)

static const option_row rows[] = {
    SAMPLE_DATA_ROWS,
    INT("images", count, "64", 1, 4096, "samples of the data to look at, from the first on"),
    INT("count", drawn, "256", 0, 65536, "samples to draw at each temperature; 0: none"),
    FLAG("json", json, "print the result as JSON"),
    SAMPLE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    SAMPLE_DATA_RULES,
    GENERATED_RULE,
    RULE("images", "data|format=shapes|format=digits", NULL),
    {NULL, NULL, NULL},
};

const option_table doctor_table = {
    .command = "doctor",
    .usage = "MODEL [--data PATH ...] [options]",
    .about =
        "Looks for what is wrong with a model: condition numbers of matrices, scales, how far each "
        "layer leads back to its input, activations and dead units on data, and where samples at "
        "temperatures 0.7 and 1 overflow. Prints a row with a verdict (ok, look, bad) for each "
        "layer, then what is behind each verdict and what to do. Without --data, what needs data "
        "is not known. Ends with code 1 if the verdict is bad. Words after --data are paths up to "
        "the next option, so MODEL stands first.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(doctor_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

static int diagnose(const doctor_settings *s, const opened_model *m,
                    const glow_diagnose_options *options) {
  glow_diagnosis *diagnosis = NULL;
  glow_status status = glow_workspace_diagnose(m->workspace, options, &diagnosis);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  doctor_verdict verdict = s->json ? doctor_print_json(s->model, m->model, diagnosis)
                                   : doctor_print_table(m->model, diagnosis);
  glow_diagnosis_destroy(&diagnosis);
  return verdict == DOCTOR_BAD ? TOOL_FAILED : TOOL_FINE;
}

/* With a condition, as many samples are drawn as there are data to give theirs. */
static int with_data(const doctor_settings *s, const opened_model *m, glow_diagnose_options *o) {
  sample_set set;
  sample_batch data = {.model = NULL};
  int code =
      open_for_model(m->model, s->model, &s->source, s->count, (uint64_t)s->shapes_seed, &set);
  if (code != TOOL_FINE)
    return code;
  int64_t count = set.count < s->count ? set.count : s->count;
  code = sample_batch_open(&data, m->model, &set, count);
  if (code == TOOL_FINE)
    code = sample_batch_read(&data, m->workspace, 0, count, (uint64_t)s->seed, 0);
  if (code == TOOL_FINE) {
    o->x = data.x;
    o->labels = data.labels;
    o->count = count;
    if (glow_model_condition_size(m->model) && o->drawn > count)
      o->drawn = count;
    code = diagnose(s, m, o);
  }
  sample_batch_close(&data, m->workspace);
  data_free(&set);
  return code;
}

/* The model itself, not its inference form, in which layers are not what they were. */
static int open_workspace(const doctor_settings *s, opened_model *m) {
  int code = open_model(m, s->model, s->threads, s->kernels, s->products, 0);
  if (code != TOOL_FINE)
    return code;
  m->batch = s->batch;
  return open_workspace_of(m);
}

static int doctor(void *settings, opened_model *m) {
  const doctor_settings *s = settings;
  glow_diagnose_options options = GLOW_DIAGNOSE_OPTIONS_INIT;
  options.drawn = s->drawn;
  options.seed = (uint64_t)s->seed;
  int code = open_workspace(s, m);
  if (code == TOOL_FINE)
    code = check_labels_file(m, &s->source.labels);
  if (code != TOOL_FINE)
    return code;
  if (s->source.paths.count || data_is_generated(s->source.form.format))
    return with_data(s, m, &options);
  if (glow_model_condition_size(m->model))
    options.drawn = 0; /* there is nothing to draw them given */
  return diagnose(s, m, &options);
}

int command_doctor(int argc, char **argv) {
  doctor_settings settings;
  return run_on_model(argc, argv, &doctor_table, &settings, doctor);
}
