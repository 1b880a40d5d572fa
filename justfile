# Short names for the commands of README.md and CONTRIBUTING.md: https://just.systems

# The little shop, in memory, on http://localhost:3000
shop framework="axum":
    SESSION_COOKIE_SECURE=false cargo run --example {{ if framework == "actix-web" { "actix_web" } else { framework } }} --features {{ framework }}

# What needs no server
test *arguments:
    cargo test {{ arguments }}

# All tests, on real servers
test-all:
    tests/run.sh

# What has to hold before a change lands
ci:
    .ci/run

# The documentation, in a browser
docs:
    cargo doc --no-deps --all-features --open

# Beside the raw Redis client
bench name="latency":
    cargo bench --features full --bench {{ name }}

# Beside the other session libraries
peers:
    benches/peers/run.sh

# What reads bytes from outside, for so many seconds each
fuzz seconds="10":
    fuzz/run.sh {{ seconds }}

# Write docs/public-api.txt anew
public-api:
    PUBLIC_API=write cargo test --all-features --test public_api
