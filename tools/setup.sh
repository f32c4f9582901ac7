# shellcheck shell=bash
# setup.sh - sourced by dev: what has to be there before a verb can do its work. Packages come from
# Debian, the contract tests' tools from the npm registry, and build folders are made and kept up to
# date. All of it is quiet unless it fails; what it prints goes to $log.
#
# The caller sets -euo pipefail and stands in the repository's top folder.

log=${MTC_DEV_LOG:-$(mktemp -t mtc-dev.XXXXXX.log)}

say() { printf '%s\n' "$*"; }
step() { printf '  %-44s ' "$1"; begun=$SECONDS; }
done_step() { printf 'ok (%d s)\n' $((SECONDS - begun)); }

fail() {
    printf '\ndev: %s\n' "$1" >&2
    [ -s "$log" ] && { tail -n 25 "$log" >&2; echo "dev: the whole log is $log" >&2; }
    exit 1
}

run_step() { # run_step TEXT COMMAND...
    step "$1"
    shift
    "$@" >>"$log" 2>&1 </dev/null || { echo; fail "failed: $*"; }
    done_step
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@" || sudo "$@"; fi
}

missing() { # the packages among $* that are not installed
    local package status
    for package in "$@"; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=none
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

# Servers that are installed here are not to be started by their packages: ours are private.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
        made=yes
    fi
    local status=0
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@" || status=$?
    [ -n "$made" ] && as_root rm -f $policy
    return $status
}

need() { # need PACKAGE...
    local wanted
    wanted=$(missing "$@")
    [ -z "$wanted" ] && return
    command -v apt-get >/dev/null || fail "this needs: $wanted"
    run_step "package lists" as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    run_step "installing $(wc -w <<<"$wanted") packages" install_quietly $wanted
}

build() { # build FOLDER MESON-OPTIONS...
    local folder=$1
    shift
    if [ ! -f "$folder/build.ninja" ]; then
        run_step "configuring $folder" meson setup "$folder" --werror "$@"
    fi
    # Configured before cmocka was there, it has no unit tests.
    if [ ! -d "$folder/tests/unit" ] && pkg-config --exists cmocka; then
        run_step "configuring $folder anew" meson setup --reconfigure "$folder"
    fi
    run_step "building $folder" ninja -C "$folder"
}

install_npm_tools() { # install_npm_tools SOURCE FOLDER: as SOURCE/package-lock.json pins them
    mkdir -p "$2"
    cp "$1/package.json" "$1/package-lock.json" "$2"
    [ ! -f "$1/.npmrc" ] || cp "$1/.npmrc" "$2"
    cmp -s "$2/package-lock.json" "$2/installed" && return
    # --ignore-scripts: nothing of what is downloaded runs before it is called
    npm ci --prefix "$2" --no-audit --no-fund --ignore-scripts >>"$log" 2>&1 </dev/null || return 1
    cp "$2/package-lock.json" "$2/installed"
}

# Sets $npm_tools to what has become of them: installed, unreachable (no registry can be asked from
# here) or failed.
npm_tools() { # npm_tools TEXT SOURCE FOLDER
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then need nodejs npm; fi
    step "$1 from the npm registry"
    if install_npm_tools "$2" "$3"; then
        done_step
        npm_tools=installed
    elif npm ping >/dev/null 2>&1 </dev/null; then
        echo FAILED
        tail -n 25 "$log"
        npm_tools=failed
    else
        echo "cannot be reached"
        # shellcheck disable=SC2034 # dev reads it
        npm_tools=unreachable
    fi
}
