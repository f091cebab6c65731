# `just check` is what CI does.
check:
    .ci/run

test:
    cargo test --workspace --features full

ndvi:
    cargo run --release --example ndvi

bench *ARGS:
    cargo bench --bench suite -- {{ARGS}}
