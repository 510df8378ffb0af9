#!/usr/bin/env bash
# prerequisites.sh build|deploy|cloud: says all that is missing at once, and how to get it.
#   build   what `sam build` calls      deploy   the same, and sam      cloud   what `make setup` and the local cloud need
set -u
missing=0

lacks() { # what, how to get it
    echo "missing: $1. $2" >&2
    missing=1
}

rust() {
    cargo --version >/dev/null 2>&1 ||
        lacks "Rust (cargo)" "Install it with rustup, stable 1.94 or later: https://rustup.rs"
    # Zig links what is shipped, not the build scripts, which run on this machine.
    command -v cc >/dev/null 2>&1 ||
        lacks "a C compiler (cc), which Rust links with" "Run: sudo apt install build-essential, or on macOS: xcode-select --install"
}

# Zig is asked for as cargo-lambda does it, which otherwise installs one by whatever package manager it finds.
build() {
    rust
    export PATH="$PWD/.local/venv-build/bin:$PATH"
    { command -v cargo-lambda && { python3 -m ziglang version || zig version; }; } >/dev/null 2>&1 ||
        lacks "cargo-lambda with Zig" "Run: python3 -m venv .local/venv-build && .local/venv-build/bin/pip install -r local/setup/build.txt"
}

deploy() {
    build
    sam --version >/dev/null 2>&1 ||
        lacks "SAM (sam)" "Run: pipx install aws-sam-cli, or see https://docs.aws.amazon.com/serverless-application-model"
}

cloud() {
    rust
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        lacks "Python 3.11 or later (python3)" "Run: sudo apt install python3 python3-venv"
    python3 -c 'import venv, ensurepip' 2>/dev/null ||
        lacks "Python's venv module" "Run: sudo apt install python3-venv"
    javac -version 2>&1 | grep -q '^javac 17' ||
        lacks "JDK 17 (javac)" "Run: sudo apt install openjdk-17-jdk-headless, and put it first in PATH"
    mvn --version >/dev/null 2>&1 ||
        lacks "Maven (mvn)" "Run: sudo apt install maven"
    { command -v ip || [ -x /usr/sbin/ip ]; } >/dev/null 2>&1 ||
        lacks "iproute2 (ip)" "Run: sudo apt install iproute2"
    [ "$(uname -s)" = Linux ] ||
        lacks "Linux" "The local cloud gives every node an address of its own in 127.0.0.0/8; use a Linux machine or VM"
}

"$1"
exit $missing
