# Shared by the commands of this directory; read with `.`, from the top of the repository.

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# What runs, and what it took: `heading "Build"` closes the step before it.
step_name=""
step_start=0
heading() {
    end_step
    step_name=$1
    step_start=$(date +%s)
    printf '\n==== %s\n' "$1"
}

end_step() {
    [ -z "$step_name" ] || printf -- '---- %s: %d s\n' "$step_name" $(($(date +%s) - step_start))
    step_name=""
}

# Finds swift where sudo's own PATH has hidden it.
find_swift() {
    command -v swift > /dev/null 2>&1 && return
    local directory
    if [ -n "${SUDO_USER:-}" ]; then
        directory=$(dirname "$(su - "$SUDO_USER" -c 'command -v swift' 2> /dev/null || true)")
        [ ! -x "$directory/swift" ] || { PATH="$directory:$PATH"; return; }
    fi
    for directory in /opt/*/usr/bin /usr/local/*/usr/bin "$HOME/.local/share/swiftly/bin"; do
        [ ! -x "$directory/swift" ] || { PATH="$directory:$PATH"; return; }
    done
    echo "swift is not in PATH; Keystead needs Swift 6.3 (https://www.swift.org/install)" >&2
    exit 1
}

# Installs those of the given packages that are missing, without the services that they bring being started:
# invoke-rc.d asks the policy.
install_missing() {
    local package missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || { echo "nothing is missing"; return; }
    echo "installing$missing"
    update_package_lists
    local policy=/usr/sbin/policy-rc.d status=0
    if [ -e "$policy" ]; then
        policy=""
    else
        printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$policy"
    fi
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null ||
        status=$?
    [ -z "$policy" ] || as_root rm -f "$policy"
    return "$status"
}

update_package_lists() {
    as_root apt-get update -qq
}

# A build directory that another user of this machine has left behind is taken over.
own_build_directory() {
    [ ! -e .build ] || [ -w .build ] || as_root chown -R "$(id -u):$(id -g)" .build
}

build_packages="ca-certificates git libc6-dev liblz4-dev librocksdb-dev libstdc++-12-dev pkg-config"
