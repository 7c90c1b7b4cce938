/* The options of `glowtool train`. SPDX-License-Identifier: MIT */
#include "train_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "data_rows.h"
#include "options_help.h"
#include "presets.h"
#include "ranks.h"
#include "train_models.h"

#define FIELD(name) offsetof(train_settings, name)
#define COUNT_MAX 1e9

static const option_choice densities[] = {
    {"logistic", GLOW_DENSITY_LOGISTIC}, {"gaussian", GLOW_DENSITY_GAUSSIAN}, {NULL, 0}};
static const option_choice permutations[] = {{"invconv-lu", GLOW_PERMUTATION_INVCONV_LU},
                                             {"invconv", GLOW_PERMUTATION_INVCONV},
                                             {"shuffle", GLOW_PERMUTATION_SHUFFLE},
                                             {"reverse", GLOW_PERMUTATION_REVERSE},
                                             {NULL, 0}};
static const option_choice couplings[] = {{"auto", 0},
                                          {"spline", GLOW_COUPLING_SPLINE},
                                          {"affine", GLOW_COUPLING_AFFINE},
                                          {"additive", GLOW_COUPLING_ADDITIVE},
                                          {NULL, 0}};
static const option_choice scales[] = {{"auto", 0},
                                       {"sigmoid", GLOW_SCALE_SIGMOID},
                                       {"exp", GLOW_SCALE_EXP},
                                       {"tanh", GLOW_SCALE_TANH},
                                       {"sigmoid-floor", GLOW_SCALE_SIGMOID_FLOOR},
                                       {NULL, 0}};
static const option_choice optimizers[] = {{"adam", GLOW_OPTIMIZER_ADAM},
                                           {"adamax", GLOW_OPTIMIZER_ADAMAX},
                                           {"lion", GLOW_OPTIMIZER_LION},
                                           {"sgd", GLOW_OPTIMIZER_SGD},
                                           {NULL, 0}};
static const option_choice schedules[] = {{"constant", GLOW_SCHEDULE_CONSTANT},
                                          {"cosine", GLOW_SCHEDULE_COSINE},
                                          {"exponential", GLOW_SCHEDULE_EXPONENTIAL},
                                          {NULL, 0}};

static const option_choice divergences[] = {
    {"stop", DIVERGENCE_STOP}, {"rewind", DIVERGENCE_REWIND}, {NULL, 0}};

static const option_choice rank_kinds[] = {{"auto", RANKS_AUTO}, {"none", RANKS_NONE}, {NULL, 0}};
static const option_choice sum_types[] = {
    {"float32", GLOW_SUM_FLOAT32}, {"bfloat16", GLOW_SUM_BFLOAT16}, {NULL, 0}};

static const option_row rows[] = {
    HEADING("Data"),
    LIST("data", data, "files or folders of training samples"),
    LIST("test", test,
         "files or folders of test samples; generated data are tested on samples of their own"),
    TEXT("format", "NAME", form.format, "auto", DATA_FORMAT_HELP),
    LIST("labels", labels,
         "labels of --data: one file for each of its files, or one table of file names and labels"),
    LIST("test-labels", test_labels, "labels of --test"),
    TEXT("size", "SIZE", size, NULL,
         "crop and resize images to this, N or WIDTHxHEIGHT; default: as they are (digits: 16, "
         "shapes: 32)"),
    INT("channels", form.channels, "0", 0, 3,
        "1 or 3: convert images to so many; 0: to 3 if any image has 3"),
    DATA_FORM_ROWS(form),
    INT("images", images, "0", 0, COUNT_MAX, "use at most N images; 0: all (generated: 4096)"),
    HEADING("Model"),
    TEXT("preset", "NAME", preset, NULL,
         "a set of options, listed below; what you type overrides it"),
    TEXT("model", "NAME", model, "glow", "kind of model, listed below"),
    INT("levels", levels, "3", 1, 16, "L: levels, each of which halves height and width"),
    INT("depth", depth, "8", 1, 4096, "K: steps of flow in each level"),
    INT("hidden", hidden, "128", 1, 65536, "width of the coupling networks"),
    INT("blocks", blocks, "2", 1, 64, "residual blocks of the coupling networks of realnvp"),
    CHOICE("permutation", permutation, "invconv-lu", permutations, "mixing of channels"),
    CHOICE("coupling", coupling, "auto", couplings,
           "kind of coupling; auto: affine, or for vector spline, which no other model has"),
    CHOICE("scale", scale, "auto", scales,
           "scale function of affine couplings; auto: tanh; the paper's is sigmoid"),
    INT("bins", bins, "8", 2, 64, "vector: bins of a spline"),
    REAL("bound", bound, "4", 0, 1e6,
         "vector: after the actnorm, splines change [-X, X] and nothing outside", .above = true),
    FLAG("no-standardise", no_standardise,
         "vector: columns and conditions as they are, not by mean and deviation of the first rows"),
    REAL("floor", floor, "0.05", 0, 1, "smallest scale of sigmoid-floor", .above = true,
         .below = true),
    FLAG("no-net-actnorm", no_net_actnorm, "plain biases in the networks instead of actnorms"),
    FLAG("fixed-prior", fixed_prior, "standard normal top prior instead of a learned one"),
    FLAG("spatial-prior", spatial_prior, "a top prior that depends on the position"),
    FLAG("border", border,
         "convolutions that see the border of the image, as in the published code"),
    FLAG("conditional", conditional, "a top prior for each class of the labels"),
    INT("bits", bits, "8", 0, 8,
        "bits of each channel that are modelled; 0: continuous values, from arrays of floats"),
    INT("couplings", couplings, "4", 1, 4096, "nice: number of couplings"),
    INT("net-depth", net_depth, "0", 0, 64,
        "nice, vector: hidden layers of the networks; 0: 5 for nice, 2 for vector"),
    FLAG("no-data-init", no_data_init,
         "nice: let the scaling factors start at 1, not at values from the data"),
    CHOICE("density", density, "logistic", densities, "nice: the prior"),
    HEADING("Training"),
    INT("steps", steps, "1000", 1, 1e12, "updates to make"),
    INT("batch", batch, "32", 1, 1e6, "images in each update, of all ranks together"),
    INT("micro-batch", micro_batch, "0", 0, 1e6,
        "images that go through the model at a time, with their gradients added up; 0: the batch, "
        "or "
        "half of it, or less, so that passes take at most 4 GiB and half of --max-memory; 16 with "
        "batch normalisations"),
    REAL("class-weight", class_weight, "0", 0, 1e6,
         "with --conditional: a classifier on the top latents; its loss in bits, times this, is "
         "added to bits/dim; the paper's weight is 0.01; 0: no classifier",
         .above = false),
    REAL("labelled", labelled, "1", 0, 1,
         "with --conditional: share of the labels that are used; the seed chooses the images",
         .above = false),
    INT("labelled-times", labelled_times, "1", 1, 1000,
        "with --labelled: how often an epoch shows each image that has a label"),
    FLAG("only-labelled", only_labelled, "leave out the images whose labels --labelled takes away"),
    CHOICE("optimizer", optimizer, "adam", optimizers, "how the parameters are updated"),
    REAL("lr", rate, "0.001", 0, 10, "learning rate", .above = true),
    REAL("beta1", beta1, "0.9", 0, 1, "decay of the running mean of gradients; momentum of sgd",
         .below = true),
    REAL("beta2", beta2, "0.999", 0, 1,
         "decay of the running size of gradients; of the running mean of lion", .below = true),
    REAL("epsilon", epsilon, "1e-8", 0, 1, "keeps the divisor of the update from zero",
         .above = true),
    REAL("weight-decay", weight_decay, "0", 0, 1, "decoupled decay of the weights", .above = false),
    CHOICE("schedule", schedule, "constant", schedules, "how the rate changes after the warm-up"),
    INT("warmup", warmup, "50", 0, COUNT_MAX, "steps over which the rate rises from zero"),
    REAL("final", final, "0.01", 0, 1, "last rate as a fraction of the first", .above = true),
    REAL("clip-norm", clip_norm, "0", 0, 1e9, "largest norm of the gradient; 0: any",
         .above = false),
    REAL("clip-value", clip_value, "0", 0, 1e9, "largest element of the gradient; 0: any",
         .above = false),
    REAL("ema", ema, "0", 0, 1, "keep an average of the weights with this decay; 0: none",
         .below = true),
    REAL("gain-l2", gain_l2, "0", 0, 1,
         "realnvp: this times the sum of squares of the scales of weight normalisation is added to "
         "the loss; the paper's is 5e-5",
         .above = false),
    REAL("noise", noise, "0", 0, 1e6,
         "deviation of normal noise that the samples get anew in each step, pixels having a range "
         "of 1: a "
         "smoother density, quicker to learn, from which restore is better; tests are without it",
         .above = false),
    FLAG("flip", flip, "turn images left to right at random, anew in each epoch"),
    FLAG("reconstruct", reconstruct, "memory flat in depth: backward inverts the layers"),
    TEXT("memory", "BYTES", memory, NULL,
         "memory for passes, such as 600M: activations are stored as far as they fit, and "
         "reconstructed elsewhere; K, M, G are powers of 1024"),
    CHOICE("on-divergence", on_divergence, "stop", divergences,
           "what to do when a loss or gradient is not finite: save and stop, or go back to the "
           "last checkpoint and go on with half the rate, at most five times"),
    INT("init-images", init_images, "256", 1, 1e6,
        "images from which the actnorms are initialised"),
    INT("seed", seed, "0", 0, SEED_MAX, "seed of everything random"),
    HEADING("Machine"),
    MACHINE_ROWS,
    CHOICE("ranks", ranks, "auto", rank_kinds,
           "auto: where a launcher of MPI has started several processes (mpirun), they train one "
           "model together; none: each for itself"),
    INT("rank-timeout", rank_timeout, "300", 0, 1e6,
        "on several ranks: seconds for which a rank waits for another before the run ends on all; "
        "0: for ever"),
    CHOICE("sums", sums, "float32", sum_types,
           "on several ranks: what gradients are summed as; bfloat16: half the traffic, and what "
           "rounding leaves out is added to the next step's"),
    HEADING("Results"),
    TEXT("out", "DIR", out, "glow-out", "folder for the results, made if it is missing"),
    TEXT("from", "MODEL", from, NULL,
         "start from a model file, such as an imported one, instead of random weights"),
    TEXT("resume", "PATH", resume, NULL,
         "go on from the newest checkpoint in a folder, or from a file; most options come from it"),
    INT("save-every", save_every, "500", 0, 1e12,
        "save the model every N steps; 0: at the end only"),
    INT("checkpoint-every", checkpoint_every, "500", 0, 1e12,
        "write a checkpoint, to resume from, every N steps; 0: at the end only"),
    INT("keep", keep, "2", 0, 1e6, "how many of the newest checkpoints to keep; 0: all"),
    FLAG("no-checkpoints", no_checkpoints,
         "write no checkpoints; each is three or four times as large as the model"),
    FLAG("overwrite", overwrite, "remove the checkpoints of another run that are in the folder"),
    INT("test-every", test_every, "200", 0, 1e12, "test every N steps; 0: at the end only"),
    INT("test-images", test_images, "1000", 1, COUNT_MAX, "images in each test"),
    INT("sample-every", sample_every, "500", 0, 1e12,
        "draw samples every N steps; 0: at the end only"),
    INT("samples", samples, "64", 1, 4096, "samples to draw"),
    REAL("temperature", temperature, "0.7", 0, 10, "temperature of the samples", .above = false),
    INT("report-every", report_every, "10", 1, 1e12, "report progress every N steps"),
    FLAG("json", json, "report progress as lines of JSON"),
    FLAG("quiet", quiet, "report the result only"),
    {.kind = OPTION_END},
};

#define ARCHITECTURE                                                                               \
  "preset model levels depth hidden blocks permutation coupling scale floor no-net-actnorm "       \
  "fixed-prior spatial-prior border conditional bits couplings net-depth no-data-init density "    \
  "no-standardise"

static const option_rule rules[] = {
    {"from", "!resume", "a checkpoint holds its model"},
    {ARCHITECTURE, "!from", "the file says what the model is"},
    {"data test", "format!=shapes", "shapes are generated"},
    {"data test", "format!=digits", "digits are generated"},
    {"labels test-labels", "format!=shapes", "shapes are generated and have none"},
    {"labels test-labels", "format!=digits", "digits are generated with their labels"},
    {"labels test-labels", "format!=cifar10", "those files hold their own labels"},
    {"labels test-labels", "format!=cifar100*", "those files hold their own labels"},
    DATA_FORM_RULES,
    {"condition", "model=vector|from", "images are not tables"},
    {"labels test-labels", "conditional|from", "nothing else learns from them"},
    {"test-labels", "test", NULL},
    {"test-every test-images", "test|format=shapes|format=digits", "there is nothing to test on"},
    {"levels", "model=glow|model=realnvp", NULL},
    {"permutation no-net-actnorm fixed-prior spatial-prior border conditional", "model=glow", NULL},
    {"depth coupling scale floor", "model=glow|model=vector", NULL},
    {"coupling", "model=vector|coupling!=spline", "only vector has spline couplings"},
    {"bins bound no-standardise", "model=vector", NULL},
    {"bins bound", "coupling=spline|coupling=auto", NULL},
    {"bits", "model!=vector", "tables are continuous"},
    {"flip size channels upsample skip-small pad background planar shape", "model!=vector",
     "tables are not images"},
    {"blocks", "model=realnvp", NULL},
    {"gain-l2", "model=realnvp|from", NULL},
    {"couplings no-data-init density", "model=nice", NULL},
    {"net-depth", "model=nice|model=vector", NULL},
    {"scale", "coupling=affine|coupling=auto", "other couplings do not scale"},
    {"scale", "coupling=affine|model!=vector", "the default couplings of vector are splines"},
    {"floor", "scale=sigmoid-floor", NULL},
    {"spatial-prior", "!fixed-prior", "a fixed prior is the same at each position"},
    {"fixed-prior", "!spatial-prior", "a spatial prior is learnt"},
    {"class-weight labelled", "conditional|from", NULL},
    {"labelled-times only-labelled", "labelled!=1", "all labels are used"},
    {"labelled-times", "!only-labelled", "then all images have labels"},
    {"beta2", "optimizer!=sgd", NULL},
    {"epsilon", "optimizer=adam|optimizer=adamax", NULL},
    {"final", "schedule=cosine|schedule=exponential", "a constant rate does not change"},
    {"init-images", "!no-data-init", NULL},
    {"reconstruct", "!memory", "--memory chooses what is reconstructed"},
    {"checkpoint-every keep", "!no-checkpoints", NULL},
    {"no-checkpoints", "on-divergence!=rewind", "rewind goes back to checkpoints"},
    {NULL, NULL, NULL},
};

const option_table train_table = {
    .command = "train",
    .usage = "[--data PATH ...] [--test PATH ...] [options]",
    .about = "Learns a model, Glow by default, from images. Writes into the folder --out:\n"
             "  model.safetensors          the model, each --save-every steps and at the end\n"
             "  model-average.safetensors  the same with averaged weights (--ema)\n"
             "  checkpoint-*.safetensors   what --resume goes on from\n"
             "  samples.png, data.png      new images, and some of the data beside them\n"
             "  loss.png, log.jsonl        the curve of bits/dim\n"
             "\n"
             "Ctrl-C finishes the step, saves and ends; --resume goes on. SIGUSR1 saves, and goes "
             "on. Words after --data and --test "
             "are paths up to "
             "the next option. Defaults are in brackets.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(train_settings),
    .positional = SIZE_MAX,
};

/* ---- parsing --------------------------------------------------------------------------------- */

/* A number of bytes, which K, M or G may follow; 0 if the text is anything else. */
static uint64_t read_bytes(const char *text) {
  char *end;
  double value = strtod(text, &end);
  double unit = *end == 'K' ? 1024.0 : *end == 'M' ? 1048576.0 : *end == 'G' ? 1073741824.0 : 1.0;
  if (end == text || (*end && (unit == 1.0 || end[1])) || !(value * unit >= 1.0) ||
      value * unit > 1e18)
    return 0;
  return (uint64_t)(value * unit);
}

int train_check(const option_state *state, const train_settings *s) {
  int code = options_check(state);
  if (code != TOOL_FINE)
    return code;
  if (!data_is_generated(s->form.format) && !s->data.count)
    return complain("--data is missing: name files to learn from, or use --format digits");
  if (s->form.channels == 2)
    return complain("--channels: '2' is not 0, 1 or 3");
  int64_t width, height;
  if (s->size && !data_parse_size(s->size, &width, &height))
    return complain("--size: '%s' is not N or WxH, of at most 16384", s->size);
  if (s->micro_batch > s->batch)
    return complain("--micro-batch %lld is more than --batch %lld", (long long)s->micro_batch,
                    (long long)s->batch);
  if (s->schedule != GLOW_SCHEDULE_CONSTANT && s->warmup >= s->steps)
    return complain("--warmup %lld is not below --steps %lld, where the schedule ends",
                    (long long)s->warmup, (long long)s->steps);
  if (s->only_labelled && s->labelled == 0.0)
    return complain("--only-labelled with --labelled 0 leaves no images");
  if (s->memory && !read_bytes(s->memory))
    return complain("--memory: '%s' is not a number of bytes such as 600M", s->memory);
  return TOOL_FINE;
}

/* A preset's options would mean nothing for another model. */
static int check_preset(const option_state *state, const preset *chosen, const char *model) {
  const char *own = "glow";
  for (const char *const *pair = chosen->values; *pair; pair += 2)
    if (strcmp(pair[0], "model") == 0)
      own = pair[1];
  if (!options_typed(state, "model") || strcmp(model, own) == 0)
    return TOOL_FINE;
  return complain("--model %s means nothing with --preset %s: its model is %s", model, chosen->name,
                  own);
}

/* A preset for generated data gives way when files are named. */
static int take_preset(option_state *state, train_settings *settings) {
  const preset *chosen = preset_find(settings->preset);
  bool files = settings->data.count > 0 && !options_given(state, "format");
  int code = chosen ? check_preset(state, chosen, settings->model) : TOOL_BAD;
  if (code == TOOL_FINE)
    code = options_preset(state, chosen->values);
  if (files)
    settings->form.format = "auto";
  return code;
}

int train_parse(option_state *state, train_settings *settings, int argc, char **argv) {
  int code = options_parse(state, &train_table, settings, argc, argv);
  if (code < 0) {
    printf("\nModels:\n");
    train_models_print();
    printf("\nPresets:\n");
    presets_print();
  }
  if (code != TOOL_FINE)
    return code;
  if (settings->resume)
    return TOOL_FINE;
  if (settings->preset)
    code = take_preset(state, settings);
  if (code != TOOL_FINE)
    return code;
  const train_model *model = train_model_find(settings->model);
  if (!model)
    return TOOL_BAD;
  return train_check(state, settings);
}

/* ---- for the library ------------------------------------------------------------------------- */

glow_optimizer_options train_optimizer_options(const train_settings *s) {
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  o.kind = (int32_t)s->optimizer;
  o.beta1 = s->beta1;
  o.beta2 = s->beta2;
  o.epsilon = s->epsilon;
  o.weight_decay = s->weight_decay;
  return o;
}

glow_schedule train_schedule(const train_settings *s) {
  glow_schedule o = GLOW_SCHEDULE_INIT;
  o.kind = (int32_t)s->schedule;
  o.rate = s->rate;
  o.final = s->final;
  o.warmup = s->warmup;
  o.steps = s->steps;
  return o;
}

glow_trainer_options train_trainer_options(const train_settings *s) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  o.micro_batch = s->micro_batch;
  o.mode = s->reconstruct ? GLOW_MODE_RECONSTRUCTED
           : s->memory    ? GLOW_MODE_BUDGET
                          : GLOW_MODE_STORED;
  o.memory_budget = s->memory ? read_bytes(s->memory) : 0;
  o.average = s->ema > 0.0;
  o.average_decay = s->ema;
  o.clip_norm = s->clip_norm;
  o.clip_value = s->clip_value;
  o.class_weight = s->class_weight;
  o.gain_l2 = s->gain_l2;
  o.seed = (uint64_t)s->seed;
  return o;
}
