#!/usr/bin/env bash
# bundle.sh [--output FOLDER] [--cpu] [--archs LIST]   collects longhaul in a relocatable folder for hosts where nothing can be installed.
#   --output FOLDER   default: build/bundle/longhaul
#   --cpu             without the CUDA backend
#   --archs LIST      GPU architectures (default: 80;90a-real, with PTX for what comes later)
# The folder holds the program, the shared libraries that clusters lack, and jobs/. It runs on any x86-64 Linux with glibc 2.36 or
# newer (Debian 12, Ubuntu 24.04). MPI, the driver, cuBLASLt, libcurl and, where it is there, NCCL are the host's. oneDNN stays out
# (40 MB): the CPU backend then multiplies with longhaul's own tiles.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

output="$LH_ROOT/build/bundle/longhaul" preset=cuda options=()
while [ $# -gt 0 ]; do
    case "$1" in
    --output) output="${2:?--output needs a folder}" && shift ;;
    --cpu) preset=cpu ;;
    --archs) options+=("-DCMAKE_CUDA_ARCHITECTURES=${2:?--archs needs a list}") && shift ;;
    -h | --help) print_help && exit 0 ;;
    *) die "unknown option '$1' (see --help)" ;;
    esac
    shift
done

build="$LH_ROOT/build/bundle/$preset"
if [ "$preset" = cuda ] && ! command -v nvcc >/dev/null; then
    export PATH="$PATH:/usr/local/cuda/bin"
    command -v nvcc >/dev/null || die "nvcc is missing: install the CUDA toolkit (12 or later), or use --cpu"
fi

# The libraries lie beside the program; DT_RPATH, unlike DT_RUNPATH, is followed for their own dependencies too.
cd "$LH_ROOT"
cmake --preset "$preset" -B "$build" -DLONGHAUL_TESTS=OFF -DLONGHAUL_ONEDNN=OFF "${options[@]}" \
    "-DCMAKE_INSTALL_RPATH=\$ORIGIN/lib" -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON \
    -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags >/dev/null
cmake --build "$build" --target longhaul

# Of the host: the C and C++ runtime, MPI and what it stands on, everything of the GPU, and what Debian's HDF5 has in it for files
# behind a web server, which every distribution has and which would double the folder.
from_host='^(linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|resolv|stdc[+][+]|gcc_s|util|z|curl|crypto|ssl)[.]so)|^lib(mpi|open-|hwloc|event|pmix|ucp|ucs|uct|ucm|psm|fabric|ibverbs|rdmacm|nl-|udev|OpenCL|cuda|cublas|nccl|nvidia)'
rm -rf "$output"
mkdir -p "$output/lib"
cp "$build/longhaul" "$output/longhaul"
strip "$output/longhaul"
# Only what the program itself loads for its own sake: the libraries behind MPI are found through MPI's.
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }
declare -A done_with=()
queue=("$output/longhaul")
while [ "${#queue[@]}" -gt 0 ]; do
    file="${queue[0]}"
    queue=("${queue[@]:1}")
    while read -r name; do
        [[ -z "${done_with[$name]:-}" && ! "$name" =~ $from_host ]] || continue
        done_with[$name]=1
        path="$(LC_ALL=C ldd "$build/longhaul" | sed -n "s|^\s*$name => \(/[^ ]*\).*|\1|p")"
        [ -n "$path" ] || die "the shared library $name, which $file needs, is not there"
        cp -L "$path" "$output/lib/$name"
        queue+=("$output/lib/$name")
    done < <(needed "$file")
done
cp -R jobs README.md LICENSE "$output/"
log "bundle: $output, $(du -sm "$output" | cut -f1) MB, $(find "$output/lib" -type f | wc -l) libraries"
