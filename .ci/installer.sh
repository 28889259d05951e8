#!/bin/sh
# Installs hatchery from a release: downloads the archive for this machine, verifies its checksum, and copies the binary.
#
#   HATCHERY_INSTALL_DIR  where the binary goes (default: ~/.local/bin)
#   HATCHERY_VERSION      a tag such as v0.1.0 (default: the latest release)
#   HATCHERY_RELEASE_URL  another place that has the release's files
set -eu

repository=https://github.com/hatchery-rs/hatchery

fail() {
    echo "hatchery-installer: $*" >&2
    exit 1
}

download() {
    if command -v curl >/dev/null 2>&1; then
        curl --proto "$protocols" --tlsv1.2 -fsSL "$1" -o "$2"
    elif command -v wget >/dev/null 2>&1; then
        wget -q "$1" -O "$2"
    else
        fail "neither curl nor wget is installed; install one of them"
    fi || fail "cannot download $1; check the connection and the version"
}

sha256() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum "$1"
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256 "$1"
    else
        fail "neither sha256sum nor shasum is installed, so the download cannot be verified"
    fi | cut -d ' ' -f 1
}

case $(uname -s) in
Linux) system=unknown-linux-gnu ;;
Darwin) system=apple-darwin ;;
*) fail "there is no binary for $(uname -s); see $repository/releases" ;;
esac
case $(uname -m) in
x86_64 | amd64) machine=x86_64 ;;
aarch64 | arm64) machine=aarch64 ;;
*) fail "there is no binary for $(uname -m); build from source, see $repository" ;;
esac

protocols='=https'
if [ -n "${HATCHERY_RELEASE_URL:-}" ]; then
    url=$HATCHERY_RELEASE_URL
    protocols='=https,http,file'
elif [ -n "${HATCHERY_VERSION:-}" ]; then
    url=$repository/releases/download/$HATCHERY_VERSION
else
    url=$repository/releases/latest/download
fi
folder=${HATCHERY_INSTALL_DIR:-$HOME/.local/bin}
name=hatchery-$machine-$system

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
download "$url/SHA256SUMS" "$work/SHA256SUMS"
download "$url/$name.tar.gz" "$work/$name.tar.gz"
expected=$(awk -v file="$name.tar.gz" '$2 == file || $2 == "*" file { print $1 }' "$work/SHA256SUMS")
[ -n "$expected" ] || fail "the release has no checksum for $name.tar.gz; nothing was installed"
[ "$(sha256 "$work/$name.tar.gz")" = "$expected" ] ||
    fail "the checksum of $name.tar.gz is wrong; nothing was installed, try the download again"

tar -C "$work" -xzf "$work/$name.tar.gz"
mkdir -p "$folder"
# Renaming replaces a running binary; overwriting it in place fails.
cp "$work/$name/hatchery" "$folder/.hatchery.new"
chmod 755 "$folder/.hatchery.new"
mv "$folder/.hatchery.new" "$folder/hatchery"
echo "installed $("$folder/hatchery" --version) to $folder/hatchery"
case :$PATH: in
*:"$folder":*) ;;
*) echo "$folder is not in PATH; add it to use hatchery by name" ;;
esac
