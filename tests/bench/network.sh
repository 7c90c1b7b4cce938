#!/bin/sh
# Measures training over slow links: each rank runs in a network namespace of its own, and slow_link
# carries what they send, at a set rate and with a set delay. Beside each measured step stands that
# of the model of docs/scaling.md, which knows the links and the steps over links without limits.
# Needs root, Linux, iproute2, Open MPI and a build with -Dmpi=enabled; otherwise status 77.
#
#   sh tests/bench/network.sh [BUILD_DIR [RANKS [RATE:DELAY ...]]]
#
# RATE in bits per second, DELAY in seconds one way, such as 1e9:1e-4. The model that is trained has
# L 3, K 8 and width 512; the batch is 16 in all, and each rank has one thread. STEPS: of each run,
# the first left out (default 6). Status 1: a step is not within 20 % of the model.
# SPDX-License-Identifier: MIT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${1:-$here/../../build}")
ranks=${2:-2} batch=16 steps=${STEPS:-6}
[ $# -gt 2 ] || set -- "$build" "$ranks" 1e9:1e-4 2e8:1e-3 1e8:5e-3
shift 2
tool=$build/examples/glowtool/glowtool
missing() { echo "skipped: $1" >&2; exit 77; }
[ "$(id -u)" = 0 ] || missing "network namespaces need root"
command -v mpirun > /dev/null || missing "mpirun is not there"
[ -x "$build/tests/slow_link" ] || missing "$build was built without MPI"
work=$(mktemp -d)
name=glow$$ net=10.199.77 link=
# Waits for its end, too: until then it holds the interfaces.
disconnect() {
  [ -z "$link" ] || { kill "$link" && wait "$link"; } 2> /dev/null || true
  link=
}
clean() {
  disconnect
  for i in $(seq "$ranks"); do ip netns del "$name-$i" 2> /dev/null || true; done
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

# ---- namespaces ----------------------------------------------------------------------------------

hosts=
for i in $(seq "$ranks"); do
  ip netns add "$name-$i" 2> /dev/null || missing "network namespaces cannot be made"
  ip -n "$name-$i" tuntap add glow0 mode tun 2> /dev/null || missing "TUN interfaces cannot be made"
  ip -n "$name-$i" link set lo up
  ip -n "$name-$i" addr add "$net.$i/24" dev glow0
  ip -n "$name-$i" link set glow0 mtu 60000 up
  hosts="$hosts,$net.$i:1"
done

# What mpirun calls in the place of ssh: HOST COMMAND. Hosts are told apart by their names, too.
cat > "$work/agent" << END
#!/bin/sh
number=\${1##*.}
shift
exec ip netns exec $name-\$number unshare --uts sh -c "hostname $name-\$number; \$*"
END
chmod +x "$work/agent"

# ---- runs ----------------------------------------------------------------------------------------

# train FOLDER BATCH COMMAND ...: a short run by this command.
train() {
  folder=$1 of=$2
  shift 2
  "$@" train --format shapes --images 64 --test-images 1 --levels 3 --depth 8 --hidden 512 \
    --scale sigmoid --batch "$of" --init-images "$of" --steps "$steps" --threads 1 --report-every 1 \
    --test-every 0 --sample-every 0 --samples 1 --save-every 0 --no-checkpoints --overwrite \
    --quiet --out "$work/$folder" > "$work/$folder.said" 2>&1 ||
    { cat "$work/$folder.said" >&2; exit 1; }
}

# over RATE DELAY: joined by these links.
over() {
  # shellcheck disable=SC2046
  "$build/tests/slow_link" "$1" "$2" glow0 $(seq -f "$name-%g" "$ranks") &
  link=$!
  sleep 0.2
  kill -0 "$link" || exit 1 # it has said why
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  train joined "$batch" "$work/agent" "$net.1" mpirun -n "$ranks" --host "${hosts#,}" \
    --map-by node --bind-to none --mca plm rsh --mca plm_rsh_agent "$work/agent" \
    --mca plm_rsh_no_tree_spawn 1 --mca oob_tcp_if_include glow0 --mca btl tcp,self \
    --mca btl_tcp_if_include glow0 --mca pml ob1 "$work/tool"
  disconnect
}

# All at once, each for itself, with the batch of a rank.
alone() {
  pids=
  for i in $(seq "$ranks"); do
    train "alone$i" $((batch / ranks)) "$tool" &
    pids="$pids $!"
  done
  for pid in $pids; do wait "$pid"; done
}

# ---- beside the model ----------------------------------------------------------------------------

cat > "$work/row.py" << 'END'
import json, pathlib, statistics, sys
sys.path.insert(0, sys.argv[1])
import scaling
work, what, ranks, batch = pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])

def events(folder):
    lines = (work / folder / "log.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["event"] == "step"]

def median(key):
    return statistics.median(e[key] for e in events("joined")[1:])

def alone(folder, batch):
    ends = [batch * e["step"] / e["images_per_second"] for e in events(folder)]
    return statistics.median(b - a for a, b in zip(ends, ends[1:]))

if what == "alone":
    slowest = max(alone(f"alone{i + 1}", batch // ranks) for i in range(ranks))
    print(f"each rank alone, all at once: a step takes {slowest:.3f} s")
    sys.exit()
rate, delay, sums = float(sys.argv[6]), float(sys.argv[7]), sys.argv[8]
seconds, waits, element = median("seconds"), median("wait_seconds"), 2 if sums == "bfloat16" else 4
if rate == 0:
    hides = median("sum_seconds") - waits
    (work / sums).write_text(f"{seconds} {hides}")
    print(f"{sums}, links without limits: {seconds:.3f} s, of which {waits:.3f} s are waited")
    sys.exit()
compute, hides = map(float, (work / sums).read_text().split())
net = scaling.Net("", 32, 3, 8, 512, "affine", int(median("sum_bytes")) // element)
link = scaling.Link(rate, delay)
model = scaling.step(net, ranks, link, compute, hides, element)
hidden = model - compute
bare = scaling.sums_end(net, ranks, link, 0, element)
print(f"{sums}, {rate / 1e6:g} Mbit/s, {1e3 * delay:g} ms: {seconds:.3f} s, of which {waits:.3f} s are",
      f"waited; model {model:.3f} s: {compute:.3f} + {bare:.3f} of sums, {bare - hidden:.3f} hidden;",
      f"measured / model {seconds / model:.2f}", flush=True)
sys.exit(0 if 0.8 <= seconds / model <= 1.2 else 1)
END
row() { python3 "$work/row.py" "$here" "$work" "$@"; }

alone
row alone "$ranks" "$batch"
code=0
for sums in float32 bfloat16; do
  printf '#!/bin/sh\nexec "%s" "$@" --sums %s\n' "$tool" $sums > "$work/tool"
  chmod +x "$work/tool"
  for at in "$@"; do
    over 0 0 # each time anew: what machines give changes
    row joined "$ranks" "$batch" 0 0 $sums
    over "${at%:*}" "${at#*:}"
    row joined "$ranks" "$batch" "${at%:*}" "${at#*:}" $sums || code=1
  done
done
[ $code = 0 ]
