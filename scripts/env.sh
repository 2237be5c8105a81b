# Where things are, and who runs the servers. Sourced by the other scripts, never run.
# PG names PostgreSQL's major version, CARGO_TARGET_DIR the build directory; both have defaults.
set -eu
umask 022 # what root builds, the user who runs the servers must be able to read

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
pg=${PG:-15}
target=${CARGO_TARGET_DIR:-$root/target}
system_pg_config=${PG_CONFIG:-/usr/lib/postgresql/$pg/bin/pg_config}
pgrx_version=$(sed -n 's/^pgrx = "=\(.*\)"$/\1/p' "$root/Cargo.toml")
mkdir -p "$target"
target=$(cd -- "$target" && pwd -P) # as PostgreSQL will see it
export PATH="$target/tools/bin:$PATH"

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then server_user=postgres; else server_user=$(id -un); fi
as_server() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u "$server_user" -- "$@"); else "$@"; fi
}

# Everything that servers read and write: PostgreSQL copies, clusters. In the build directory,
# unless their user cannot get there: a checkout below /root, say.
servers=$target/pg$pg
if [ "$(id -u)" = 0 ] && ! as_server test -x "$target" 2> /dev/null; then
    servers=/var/tmp/posthog_plugins-$(printf %s "$target" | cksum | cut -d ' ' -f 1)/pg$pg
fi
private=$servers/postgres # where the built extension is installed
pgrx_private=$servers/postgres-pgrx # where `cargo pgrx test` installs its build, with test functions
export PGRX_HOME="$servers/pgrx-home"

# The directory in a private copy that stands for one of the system's, by its pg_config name.
inside() { printf '%s%s' "$1" "$("$system_pg_config" "--$2")"; }
