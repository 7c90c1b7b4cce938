# glowtool's commands and options in bash: install it as
# /usr/share/bash-completion/completions/glowtool, or source it.
# Made by: sh tests/tool/test_man.sh GLOWTOOL docs/man --write
# SPDX-License-Identifier: MIT
_glowtool() {
  local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=
  COMPREPLY=()
  case $command${COMP_WORDS[COMP_CWORD - 1]} in
  train--classes-from) words='files folders' ;;
  train--header) words='auto yes no' ;;
  train--permutation) words='invconv-lu invconv shuffle reverse' ;;
  train--coupling) words='auto spline affine additive' ;;
  train--scale) words='auto sigmoid exp tanh sigmoid-floor' ;;
  train--density) words='logistic gaussian' ;;
  train--optimizer) words='adam adamax lion sgd' ;;
  train--schedule) words='constant cosine exponential' ;;
  train--on-divergence) words='stop rewind' ;;
  train--products) words='float32 bfloat16' ;;
  train--ranks) words='auto none' ;;
  train--sums) words='float32 bfloat16' ;;
  eval--classes-from) words='files folders' ;;
  eval--header) words='auto yes no' ;;
  eval--products) words='float32 bfloat16' ;;
  score--classes-from) words='files folders' ;;
  score--header) words='auto yes no' ;;
  score--products) words='float32 bfloat16' ;;
  sample--type) words='auto uint8 float32' ;;
  sample--products) words='float32 bfloat16' ;;
  encode--classes-from) words='files folders' ;;
  encode--header) words='auto yes no' ;;
  encode--form) words='raw whitened' ;;
  encode--products) words='float32 bfloat16' ;;
  decode--form) words='auto raw whitened' ;;
  decode--type) words='auto uint8 float32' ;;
  decode--products) words='float32 bfloat16' ;;
  reconstruct--classes-from) words='files folders' ;;
  reconstruct--header) words='auto yes no' ;;
  reconstruct--products) words='float32 bfloat16' ;;
  interpolate--classes-from) words='files folders' ;;
  interpolate--header) words='auto yes no' ;;
  interpolate--path) words='linear spherical' ;;
  interpolate--products) words='float32 bfloat16' ;;
  attribute--classes-from) words='files folders' ;;
  attribute--header) words='auto yes no' ;;
  attribute--products) words='float32 bfloat16' ;;
  sweep--products) words='float32 bfloat16' ;;
  restore--classes-from) words='files folders' ;;
  restore--header) words='auto yes no' ;;
  restore--task) words='inpaint denoise upscale' ;;
  restore--method) words='langevin map' ;;
  restore--products) words='float32 bfloat16' ;;
  anomaly--classes-from) words='files folders' ;;
  anomaly--header) words='auto yes no' ;;
  anomaly--products) words='float32 bfloat16' ;;
  import--format) words='auto openai y0ast rosinality' ;;
  export--format) words='y0ast glow' ;;
  export--storage) words='f32 bf16' ;;
  doctor--classes-from) words='files folders' ;;
  doctor--header) words='auto yes no' ;;
  doctor--products) words='float32 bfloat16' ;;
  *)
    [ "$COMP_CWORD" = 1 ] && command=
    case $command in
    train) words='--data --test --format --labels --test-labels --size --channels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --images --preset --model --levels --depth --hidden --blocks --permutation --coupling --scale --bins --bound --no-standardise --floor --no-net-actnorm --fixed-prior --spatial-prior --border --conditional --bits --couplings --net-depth --no-data-init --density --steps --batch --micro-batch --class-weight --labelled --labelled-times --only-labelled --optimizer --lr --beta1 --beta2 --epsilon --weight-decay --schedule --warmup --final --clip-norm --clip-value --ema --gain-l2 --noise --flip --reconstruct --memory --on-divergence --init-images --seed --threads --kernels --products --max-memory --ranks --rank-timeout --sums --out --from --resume --save-every --checkpoint-every --keep --no-checkpoints --overwrite --test-every --test-images --sample-every --samples --temperature --report-every --json --quiet --help' ;;
    eval) words='--data --format --labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --shapes-seed --images --draws --per-image --json --strict --seed --batch --threads --kernels --products --max-memory --help' ;;
    score) words='--data --format --labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --shapes-seed --images --out --json --strict --seed --batch --threads --kernels --products --max-memory --help' ;;
    sample) words='--out --count --columns --temperature --class --given --data --condition --id-column --tensor --seed --first --type --strict --batch --threads --kernels --products --max-memory --help' ;;
    encode) words='--data --format --labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --shapes-seed --images --form --out --json --strict --seed --batch --threads --kernels --products --max-memory --help' ;;
    decode) words='--data --tensor --data-columns --condition --label-column --id-column --labels --form --images --type --out --strict --batch --threads --kernels --products --max-memory --help' ;;
    reconstruct) words='--data --format --labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --shapes-seed --count --columns --out --json --strict --seed --batch --threads --kernels --products --max-memory --help' ;;
    interpolate) words='--data --format --labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --shapes-seed --rows --columns --path --out --strict --seed --batch --threads --kernels --products --max-memory --help' ;;
    attribute) words='--with --without --with-class --without-class --format --with-labels --without-labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --images --save --direction --data --data-labels --amounts --rows --out --seed --strict --batch --threads --kernels --products --max-memory --help' ;;
    sweep) words='--temperatures --columns --class --seed --out --strict --batch --threads --kernels --products --max-memory --help' ;;
    restore) words='--data --format --labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --shapes-seed --count --task --mask --factor --noise --observed --method --deviation --class --steps --rate --chains --burn-in --samples --seed --out --rows --save --fit --fit-images --json --quiet --strict --batch --threads --kernels --products --max-memory --help' ;;
    anomaly) words='--data --format --labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --shapes-seed --other --other-format --other-labels --reference --reference-labels --images --draws --out --per-image --json --strict --seed --batch --threads --kernels --products --max-memory --help' ;;
    import) words='--format --size --bits --reversed --ignore-unknown --out --help' ;;
    export) words='--format --storage --data --images --max-memory --out --help' ;;
    info) words='--layers --tensors --json --help' ;;
    doctor) words='--data --format --labels --upsample --skip-small --skip-bad --pad --background --planar --tensor --classes-from --classes --shape --data-columns --condition --label-column --id-column --header --data-memory --max-pixels --shapes-seed --images --count --json --seed --batch --threads --kernels --products --max-memory --help' ;;
    '') words='train eval score sample encode decode reconstruct interpolate attribute sweep restore anomaly import export info doctor help --help --version' ;;
    esac
    # paths, where no option is begun
    if [ -n "$command" ] && [ "${current#-}" = "$current" ]; then
      compopt -o filenames 2> /dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
    fi
    ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _glowtool glowtool
