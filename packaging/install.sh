#!/bin/sh
# Installs Haulier on a Linux that takes neither our debs nor our rpms. It needs systemd, and Python 3.11 at
# /usr/bin/python3.11. As root, beside the tarballs and the file SHA256SUMS:
#
#   sh install.sh install haulier_0.1.0_x86_64.tar.gz haulier-controlplane_0.1.0_x86_64.tar.gz
#   sh install.sh install haulier-agentd_0.1.0_x86_64.tar.gz
#   sh install.sh uninstall haulier-agentd
#
# The tarballs hold what the packages hold, and this does what they do. Again, with newer tarballs, it upgrades. Changed
# configuration is kept, and so is data.
set -eu
umask 022
known=/usr/share/haulier-install

fail() { echo "install.sh: $*" >&2; exit 1; }

check() {
    [ -f "$1" ] || fail "$1 is not here"
    list=$(dirname "$1")/SHA256SUMS
    [ -f "$list" ] || fail "$list is not here: it lists the digests of the tarballs"
    wanted=$(awk -v name="$(basename "$1")" '$2 == name {print $1}' "$list")
    [ -n "$wanted" ] || fail "$list does not list $(basename "$1")"
    found=$(sha256sum "$1" | cut -d ' ' -f 1)
    [ "$found" = "$wanted" ] || fail "$1 is damaged: its digest is $found and not $wanted. Nothing was changed"
    case "$1" in *_"$(uname -m)".tar.gz) ;; *) fail "this host is $(uname -m), and $1 is for another" ;; esac
}

install_one() {
    work=$(mktemp -d /var/tmp/haulier-install.XXXXXX)
    tar -xzf "$1" -C "$work" --no-same-owner
    name=$(cat "$work/NAME")
    first=1
    [ ! -e "$known/$name/files" ] || first=2
    # tar puts a new file in place of each old one, never new bytes into it: a running release shares its files with the
    # package's tree.
    tar -C "$work/root" -cf - --exclude=./etc . | tar -C / -xmf - --no-same-owner --no-overwrite-dir --keep-directory-symlink
    (cd "$work/root" && find . -path './etc/*' -type f) | while read -r each; do
        mkdir -p "$(dirname "/$each")"
        [ -e "/$each" ] || cp "$work/root/$each" "/$each"
    done
    mkdir -p "$known/$name"
    (cd "$work/root" && find . ! -type d ! -path './etc/*') | sort >"$known/$name/files.new"
    if [ -e "$known/$name/files" ]; then
        comm -23 "$known/$name/files" "$known/$name/files.new" | while read -r each; do rm -f "/$each"; done
    fi
    mv "$known/$name/files.new" "$known/$name/files"
    for script in postinst prerm postrm; do
        if [ -e "$work/$script" ]; then cp "$work/$script" "$known/$name/"; fi
    done
    rm -rf "$work"
    if [ -e "$known/$name/postinst" ]; then sh "$known/$name/postinst" $first; fi
    echo "install.sh: $name is installed"
}

uninstall_one() {
    [ -e "$known/$1/files" ] || fail "$1 was not installed by this; known are: $(ls $known 2>/dev/null | tr '\n' ' ')"
    if [ -e "$known/$1/prerm" ]; then sh "$known/$1/prerm" 0; fi
    sed 's#^#/#' "$known/$1/files" | xargs -d '\n' rm -f --
    sed 's#/[^/]*$##; s#^#/#' "$known/$1/files" | sort -ur | xargs -d '\n' rmdir -p --ignore-fail-on-non-empty -- 2>/dev/null || true
    if [ -e "$known/$1/postrm" ]; then sh "$known/$1/postrm" 0; fi
    rm -rf "${known:?}/$1"
    rmdir "$known" 2>/dev/null || true
    echo "install.sh: $1 is removed"
}

[ $# -ge 2 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || fail "run this as root"
verb=$1
shift
case "$verb" in
install)
    [ -x /usr/bin/python3.11 ] || fail "there is no /usr/bin/python3.11: install Python 3.11 first"
    [ -d /run/systemd/system ] || fail "systemd does not run here: see docs/install.md for hosts without it"
    for each in "$@"; do check "$each"; done
    for each in "$@"; do install_one "$each"; done
    ;;
uninstall) for each in "$@"; do uninstall_one "$each"; done ;;
*) fail "$verb is neither install nor uninstall" ;;
esac
