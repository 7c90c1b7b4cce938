# For tests over MPI, to be read by a shell. SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154,SC2034

# Open MPI asks twice before it runs as root, which containers do.
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# More ranks than processors, which give way to each other; no network, and no need of one.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 \
  OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl=self,vader,tcp OMPI_MCA_btl_tcp_if_include=lo \
  OMPI_MCA_plm=isolated OMPI_MCA_btl_base_warn_component_unused=0

# ranks N PROGRAM ...: runs it on N ranks.
ranks() {
  number=$1
  shift
  mpirun -n "$number" "$@"
}

# For tests of glowtool, with `tool` set and ../tool/helpers.sh read.

# run CODE N ARGUMENTS...: a run on N ranks that ends with this code; what it says is in `said`.
run() {
  wanted=$1 n=$2
  shift 2
  timeout -k 5 60 mpirun -n "$n" "$tool" train "$@" > said 2>&1
  code=$?
  [ $code -eq "$wanted" ] || sed 's/^/  /' said | tail -12
  expect "code $wanted, not $code: $n ranks, $*" [ $code -eq "$wanted" ]
}
says() { expect "says '$1'" grep -qF -e "$1" said; }
newest() { find "$1" -name 'checkpoint-*' | sed 's/.*checkpoint-0*\([0-9][0-9]*\)\..*/\1/' | sort -n | tail -1; }
