#!/bin/sh
# Installs p2p-peer for the user who runs it, or updates what is there:
#
#   curl -fsS http://eagle:8116/install.sh | sh              # from a peer in the lab
#   sh install.sh --from URL --to DIR                        # from a folder with a release
#
# Nothing is run before its checksum was verified, and what does not start here is not installed. The checksums come from the
# same place as the executable, so compare the hash that is printed with that of somebody you trust. Later versions need no such
# comparison: "p2p-peer update" verifies their signature. A peer with private pages wants its token: P2P_PEER_TOKEN=... sh install.sh
set -eu

# Where the newest release is. A peer that serves this script, and a release, write their own address here.
FROM='@@DOWNLOAD_URL@@'

usage() {
  cat <<'USAGE'
Usage: sh install.sh [--from URL] [--to DIR] [--version VERSION] [--dry-run]

  --from URL         address of a folder with a release, such as http://eagle:8116/download
  --to DIR           folder to install to (default: ~/.local/bin)
  --version VERSION  install this version or nothing
  --dry-run          download and verify, and say what would be installed
USAGE
}

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "install.sh: $*"
  exit 1
}

# platform: prints the platform of this machine, as in the names of the executables.
platform() {
  case "$(uname -s)" in
    Linux) os=linux ;;
    Darwin) os=macos ;;
    *) fail "There is no executable for $(uname -s). On Windows, download p2p-peer-windows-x86_64.exe by hand" ;;
  esac
  case "$(uname -m)" in
    x86_64 | amd64) arch=x86_64 ;;
    aarch64 | arm64) arch=aarch64 ;;
    *) fail "There is no executable for $(uname -m) machines" ;;
  esac
  # A shell that macOS translates says x86_64 on every machine.
  if [ "$os" = macos ] && [ "$(sysctl -n hw.optional.arm64 2>/dev/null || true)" = 1 ]; then arch=aarch64; fi
  printf '%s-%s\n' "$os" "$arch"
}

# request URL [OPTIONS]: prints what is there. The token is not among the arguments, which other users can see.
request() {
  if command -v curl >/dev/null 2>&1; then
    set -- -sSL --connect-timeout 10 --speed-limit 1024 --speed-time 30 "$@"
    if [ -n "$token" ]; then printf 'Authorization: Bearer %s\n' "$token" | curl -H @- "$@"; else curl "$@"; fi
  elif command -v wget >/dev/null 2>&1; then
    wget -q -T 30 -t 1 -O - "$1"
  else
    fail "Neither curl nor wget is installed"
  fi
}

# get URL FILE BYTES: downloads at most so much. Whatever goes wrong, the file is not there.
get() {
  rm -f "$2" "$work/failed"
  { request "$1" --fail 2>"$work/why" || touch "$work/failed"; } | head -c "$3" >"$2" || touch "$work/failed"
  [ -e "$work/failed" ] || return 0
  rm -f "$2"
  # The token may be in the environment for another peer: only who asks for one gets it.
  if [ -z "$token" ] && [ -n "${P2P_PEER_TOKEN:-}" ] && grep -q 'error: 401' "$work/why"; then
    token=$P2P_PEER_TOKEN
    get "$@" && return
  fi
  return 1
}

# download URL FILE BYTES
download() {
  get "$@" && return
  # A peer says what is wrong: {"detail": "..."}
  detail=$(request "$1" --max-time 10 2>/dev/null | head -c 2000 | tr -d '[:cntrl:]' | sed -n 's/.*"detail": *"\([^"]*\)".*/\1/p' || true)
  [ -n "$detail" ] || detail=$(head -c 300 "$work/why" | tr -d '[:cntrl:]')
  fail "Cannot download $1: ${detail:-no answer}"
}

# sha256 FILE: prints its hash.
sha256() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1" | cut -c 1-64
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256 <"$1" | cut -c 1-64
  elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r <"$1" | cut -c 1-64
  else fail "None of sha256sum, shasum and openssl is installed, so nothing can be verified"
  fi
}

clean() {
  rm -rf "$work"
  [ -z "$new" ] || rm -f "$new"
}

# put NAME: replaces one of the files next to the executable, which others may be reading, or replacing as well.
put() {
  new=$(mktemp "$target.release/new.XXXXXX")
  cp "$work/$1" "$new"
  chmod 644 "$new"
  mv -f "$new" "$target.release/$1"
  new=''
}

main() {
  from=$FROM to=${HOME:-}/.local/bin wanted='' is_dry='' new='' token=''
  while [ $# -gt 0 ]; do
    case "$1" in
      --from | --to | --version)
        [ $# -gt 1 ] || fail "$1 needs a value"
        case "$1" in
          --from) from=$2 ;;
          --to) to=$2 ;;
          --version) wanted=${2#v} ;;
        esac
        shift
        ;;
      --dry-run) is_dry=yes ;;
      -h | --help) usage; exit 0 ;;
      *) usage >&2; fail "Unknown option $1" ;;
    esac
    shift
  done
  case "$from" in
    @@*) fail "Say where the release is: --from URL" ;;
    http://* | https://*) ;;
    *://*) fail "--from takes an address that begins with http:// or https://" ;;
    *) from=http://$from ;;
  esac
  from=${from%/}
  origin=$from
  # A release page keeps every version under its own name.
  case "$from" in
    */releases/latest/download) [ -z "$wanted" ] || from=${from%/latest/download}/download/v$wanted ;;
  esac
  [ "$to" != /.local/bin ] || fail "HOME is not set: say where to install with --to"

  name=p2p-peer-$(platform)
  work=$(mktemp -d)
  trap clean EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  download "$from/SHA256SUMS" "$work/SHA256SUMS" 16384
  version=$(sed -n 's/^# p2p-peer \([0-9][0-9.]*\)$/\1/p' "$work/SHA256SUMS")
  hash=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\$/\1/p" "$work/SHA256SUMS")
  [ -n "$version" ] || fail "$from/SHA256SUMS is not a checksum list of p2p-peer"
  [ -z "$wanted" ] || [ "$wanted" = "$version" ] || fail "$from has version $version, not $wanted"
  [ "${#hash}" = 64 ] || fail "$from has no executable for this machine ($name). Ask a peer on a machine of the same kind"

  # Before anything large is downloaded.
  target=$to/p2p-peer
  if [ -z "$is_dry" ]; then
    mkdir -p "$to" 2>/dev/null || fail "Cannot create $to. Choose another folder with --to"
    [ -w "$to" ] || fail "Cannot write to $to. Choose another folder with --to"
    [ ! -L "$target" ] || fail "$target is a link. Install into the folder that it leads to, or choose another one with --to"
    [ ! -d "$target" ] || fail "$target is a folder. Choose another one with --to"
    [ ! -d "$target.previous" ] || fail "$target.previous is a folder, but the previous executable has to go there. Rename the folder"
  fi
  say "Downloading p2p-peer $version for ${name#p2p-peer-} from $from"
  download "$from/$name" "$work/p2p-peer" 536870912
  found=$(sha256 "$work/p2p-peer")
  [ "$found" = "$hash" ] || fail "The executable at $from does not match its checksum (is $found, should be $hash). Nothing was installed"
  if [ -n "$is_dry" ]; then
    say "Would install $target, version $version. SHA-256: $hash"
    return
  fi

  # $work may be where nothing can be run. Others may install into the same folder at the same time.
  mkdir -p "$target.release"
  chmod 755 "$target.release"
  new=$(mktemp "$target.release/new.XXXXXX")
  cp "$work/p2p-peer" "$new" || fail "Cannot write to $target.release. Nothing was installed"
  chmod 755 "$new"
  started=$("$new" --version 2>"$work/why") || started=''
  case "$started" in
    "$version" | "$version "*) ;;
    '') fail "p2p-peer $version does not start on this machine: $(head -c 300 "$work/why" | tr -d '[:cntrl:]'). On Linux, it needs glibc, and a folder that is not mounted noexec. Nothing was installed" ;;
    *) fail "The executable at $from calls itself $started, not $version. Nothing was installed" ;;
  esac
  if [ -f "$target" ] && [ "$(sha256 "$target")" != "$hash" ]; then
    rm -f "$target.previous"
    ln "$target" "$target.previous" 2>/dev/null || cp -p "$target" "$target.previous"
  fi
  mv -f "$new" "$target"
  new=''

  # For "p2p-peer update", and for those who install from this machine's peer.
  printf '%s\n' "$origin" >"$work/from"
  put SHA256SUMS
  put from
  if get "$from/SHA256SUMS.sig" "$work/SHA256SUMS.sig" 16384; then put SHA256SUMS.sig; else rm -f "$target.release/SHA256SUMS.sig"; fi

  say "Installed $target, version $version"
  say "SHA-256: $hash"
  if [ -f "$target.release/SHA256SUMS.sig" ]; then
    say "Compare it with the SHA256SUMS of the release, or with what somebody you trust gets from: sha256sum p2p-peer"
  else
    say "This build is not a signed release. Compare the hash with that of whoever built it: sha256sum p2p-peer"
  fi
  case ":${PATH:-}:" in
    *":$to:"*) say "Start it with: p2p-peer $(id -un) 8115 8116" ;;
    *) say "$to is not in your PATH. Start it with: $target $(id -un) 8115 8116" ;;
  esac
}

# In a function, so that a script that arrived only in part does nothing.
main "$@"
