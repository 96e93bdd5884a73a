#!/bin/bash
# Trains every mini in under nine minutes on one large GPU, from nothing:
#
#   minis/on_accelerator.sh                      # then: python -m limner.registry.bundled; make minis-check
#   minis/on_accelerator.sh --go-on              # the same from the weights that ship, where sizes agree
#   DEVICE=cpu PART=.001 LESSONS=250 minis/on_accelerator.sh    # whole, on a CPU
#
# Runs are bounded by minutes, not by steps; all other cores render what is shown. Four chains share the
# device, each as long as what it depends on: words and eyes, then what sees with them; the autoencoder and
# the painters; mini-sam at its large size; mini-dino. Logs and checkpoints lie in $LIMNER_MINIS_OUT
# (minis/out), and running the script again goes on from there. PART scales all minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
DEVICE=${DEVICE:-cuda} PART=${PART:-1} LESSONS=${LESSONS:-72000}
OUT=${LIMNER_MINIS_OUT:-minis/out}
mkdir -p "$OUT"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# recipe MINUTES [options]: the minutes are those of each of its runs (clip, dino and vae have two)
recipe() {
  local name=$1 minutes=$2 && shift 2
  echo "$(date +%T) $name"
  "$PYTHON" -m "minis.recipes.$name" --device "$DEVICE" --large \
    --minutes "$(awk "BEGIN{print $minutes * $PART}")" "$@" > "$OUT/$name.log" 2>&1 ||
    { echo "$name failed, see $OUT/$name.log:"; tail -3 "$OUT/$name.log"; return 1; } >&2
}

# The device is asked for once, so that its refusal is one sentence.
"$PYTHON" -c 'from minis.devices import chosen; chosen()' --device "$DEVICE"

rm -f "$OUT/words"
seeing() { recipe clip 1 "$@" && touch "$OUT/words" && recipe owlvit 2.6 "$@" && recipe blip 1.6 "$@"; }
painting() {
  recipe vae .8 "$@"
  until [ -e "$OUT/words" ]; do kill -0 "$words" 2> /dev/null || return 1; sleep .2; done
  recipe painter 3 --lessons "$LESSONS" "$@" && recipe painter_canvas 1 --lessons "$LESSONS" "$@"
}

seeing "$@" & words=$!
painting "$@" & painters=$!
recipe sam 7.5 "$@" & outlines=$!
recipe dino 1.5 "$@" & instances=$!
failed=0
for chain in $words $painters $outlines $instances; do wait "$chain" || failed=1; done
[ $failed = 0 ] && echo "$(date +%T) all are trained: python -m limner.registry.bundled, then make minis-check"
exit $failed
