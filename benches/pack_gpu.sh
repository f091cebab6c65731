#!/usr/bin/env bash
# Packs what runs on a machine with a GPU and no compiler: the GPU backend's tests, the benchmark suite, and its peers' scripts.
# Unpack it there (`tar xf gpu.tar.xz`) and run `gpu/run`, or `gpu/run tests` and `gpu/run suite` one by one: it needs the GPU's driver with Vulkan and its loader, libvulkan.so.1.
#
#     benches/pack_gpu.sh [FILE]      # out/gpu.tar.xz by default
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:-out/gpu.tar.xz}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
mkdir -p "$room/gpu/tests" "$room/gpu/benches" "$(dirname "$file")"

# the programs that cargo says it made
built() { cargo "$@" --release --features gpu --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'; }
tests=(conformance gpu gpu_functions gpu_products gpu_resident)
for program in $(built test --no-run "${tests[@]/#/--test=}"); do
    name=$(basename "$program")
    strip -o "$room/gpu/${name%-*}" "$program"
done
strip -o "$room/gpu/suite" "$(built build --bench suite)"
cp -r tests/golden "$room/gpu/tests/"
cp -r benches/peers "$room/gpu/benches/"

cat >"$room/gpu/run" <<RUN
#!/usr/bin/env bash
# Runs the tests on the GPU, then the benchmarks with whatever peers are installed (BLOCKWISE_PEERS_PYTHON, default python3): run [tests|suite] [OPTIONS]
set -u
case "\${1:-}" in tests | suite) only=\$1; shift ;; *) only= ;; esac
cd "\$(dirname "\$0")"
# tests look for their texts where they were built
built='$PWD'
[ -e "\$built" ] || { mkdir -p "\$(dirname "\$built")" && ln -s "\$PWD" "\$built"; }
export BLOCKWISE_REQUIRE_GPU=1 LD_LIBRARY_PATH="\$PWD:\${LD_LIBRARY_PATH:-}"
failed=0
if [ "\$only" != suite ]; then
    for test in ${tests[*]}; do
        echo "== \$test"
        ./"\$test" || failed=1
    done
fi
if [ "\$only" != tests ]; then
    echo "== suite"
    ./suite --device gpu arrays products --peers --json gpu.json "\$@" || failed=1
fi
exit \$failed
RUN
chmod +x "$room/gpu/run"
tar -C "$room" -cJf "$file" gpu
ls -l "$file"
