#!/usr/bin/env bash
# What needs a CUDA GPU, in 20 minutes of one H100-class card: Table 5, the fused kernels, throughput, then CIFAR-10
# at the paper's size (35.7 M parameters, bf16, compiled), vanilla against pairings, flow matching and DDIM.
#
# On a machine with a GPU and this checkout installed:
#     bash benchmarks/gpu.sh run --data ../shared/data/cifar10 --weights ../shared/weights/cifar10_resnet56-4bfd9763.th
#
# On a bare machine that takes 60 MB at a time and has PyTorch, but not all packages (three calls, the second twice):
#     bash benchmarks/gpu.sh pack ../shared/data/cifar10 ../shared/weights   # here: writes .gpu/, 45 MB a part
#     bash benchmarks/gpu.sh receive .gpu/part-0                             # there, carrying .gpu/part-0; so for each part
#     bash benchmarks/gpu.sh measure && bash benchmarks/gpu.sh flow          # there, carrying .gpu/rest
#     bash benchmarks/gpu.sh ddim                                            # or edm, which pairing helps most on a CPU
# Copy gpu-*.json into results/ and run `immiscible evidence write`.
#
# GPU_SH_SECONDS (1080): time for all of it. Where a machine is lent for 15 minutes, its start included, give 540: measure
# then takes at most 3 min 42 s, flow, ddim and edm 4 min 9 s each. GPU_SH_TINY=1: a minute on a CPU, to try the script.
# INCEPTION: file of Inception-v3's FID weights. OUT: folder of the results. GPU_SH_PLACE: where things are received.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$(pwd)
place=${GPU_SH_PLACE:-/tmp/immiscible-gpu}
out=${OUT:-$here/results-gpu}
seconds=${GPU_SH_SECONDS:-1080}
data=$place/cifar10
weights=$place/cifar10_resnet56-4bfd9763.th
python=${PYTHON:-python3}
verb=${1:-run}
[ $# -gt 0 ] && shift

case $verb in pack | receive | measure | flow | ddim | edm | run) ;; *)
    echo "unknown verb '$verb'; give pack, receive, measure, flow, ddim, edm or run" >&2
    exit 2
    ;;
esac

if [ "$verb" = pack ]; then
    source=${1:?give the folder that has train.parquet} from=${2:?give the folder of the weights}
    rm -rf .gpu && mkdir -p .gpu/rest/wheels
    split --bytes=45000000 --numeric-suffixes --suffix-length=1 "$source/train.parquet" .gpu/part-
    sha256sum "$source/train.parquet" | cut -d' ' -f1 >.gpu/rest/train.sha256
    cp "$from/cifar10_resnet56-4bfd9763.th" .gpu/rest/
    # What the image there lacks, for its Python (3.12); all are pure Python or small.
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        --dest .gpu/rest/wheels diffusers==0.42.1 datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19 xxhash==4.1.0 tyro==1.0.17 typeguard \
        docstring-parser torchcfm pot
    du -sh .gpu/*
    exit
fi

if [ "$verb" = receive ]; then
    part=${1:?give the part, in order of its number}
    mkdir -p "$data"
    [ "${part##*-}" = 0 ] && rm -f "$data/train.parquet"
    cat "$part" >>"$data/train.parquet"
    ls -l "$data"
    exit
fi

while [ $# -gt 0 ]; do
    case $1 in
    --data) data=$2 ;;
    --weights) weights=$2 ;;
    *) echo "unknown option '$1'; give --data or --weights" >&2 && exit 2 ;;
    esac
    shift 2
done

if [ -d .gpu/rest ] && [ ! -d "$place/site" ] && [ -z "${GPU_SH_TINY:-}" ]; then
    sha256sum "$data/train.parquet" | grep --quiet "$(cat .gpu/rest/train.sha256)" || {
        echo "$data/train.parquet is not whole; receive all parts again, in order" >&2
        exit 2
    }
    cp .gpu/rest/*.th "$place/"
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$place/site" .gpu/rest/wheels/*.whl
fi
export PYTHONPATH="$here/src:$place/site:${PYTHONPATH:-}" HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
mkdir -p "$out"

if [ -n "${GPU_SH_TINY:-}" ]; then
    seconds=${GPU_SH_SECONDS:-60}
    bench=(--batches 16 --seconds 0.05 --repeats 2)
    trainers=(--network unet-tiny --batch 4 --steps 1 --turns 1 --profile)
    training=(--network unet-patch --batch 8 --precision no --no-compile --count 80 --points 2 --rows 500)
else
    bench=(--batches 128 256 512 1024 4096 --seconds 3)
    trainers=(--network unet-paper --batch 128 --steps 20 --turns 3 --profile unet-paper:256:20)
    training=(--network unet-paper --batch 256 --precision bf16 --count 2000 --points 4)
fi

# One part that fails or is late takes nothing from the others.
try() {
    local limit=$1
    shift
    echo "== $* (at most ${limit} s)"
    timeout --kill-after=20 "$limit" "$@" || echo "== failed or late, with status $?: $*"
}

measure() {
    try $((seconds * 15 / 100 + 30)) "$python" -m immiscible_diffusion.cli bench pairing --sizes CIFAR-10 "${bench[@]}" --out "$out/pairing"
    # The committed result is of another machine: only a new one is taken along.
    local before=benchmarks/results/trainers/trainers.json began
    began=$(mktemp)
    try $((seconds * 15 / 100 + 30)) "$python" -m benchmarks.trainers --data "$data" "${trainers[@]}"
    [ "$before" -nt "$began" ] && cp "$before" "$out/"
    rm "$began"
}

train() {
    local share=$((seconds * 35 / 100))
    try $((share + 60)) "$python" -m benchmarks.gpu_training "$1" --data "$data" --weights "$weights" --seconds "$share" \
        --out "$out" --runs "$place/runs" "${training[@]}" ${INCEPTION:+--inception "$INCEPTION"}
}

nvidia-smi 2>/dev/null | head -15 || echo "no nvidia-smi: this is no GPU machine"
case $verb in
measure) measure ;;
flow | ddim | edm) train "$verb" ;;
run)
    measure
    train flow
    train ddim
    ;;
esac
ls -lR "$out"
