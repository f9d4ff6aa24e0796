#!/bin/sh
# Installs syncd into an environment of its own (never the system's Python), upgrades it, takes an upgrade back, removes it.
#
#   install.sh install  SOURCE    a wheel (syncd-….whl), or a folder of wheels with all dependencies (no network needed)
#   install.sh upgrade  SOURCE    the same beside the version in use, then changes over and restarts what runs
#   install.sh rollback           back to the version before
#   install.sh uninstall          takes the program away; data, keys and the account stay
#   install.sh versions           what is installed
#
# Options: --python FILE   an interpreter (3.11 or later) other than the first that fits
#          --root DIR      install below DIR (to make an image, or to try): no account, no restart, root is not needed
#
# Must hold: whatever goes wrong before the change-over leaves the version in use as it was; the change-over is one rename;
# the same call again finishes what was cut off anywhere; no code is run from the folder that the caller stands in (each
# Python has -I, or -P); a path may hold any character.
# Exit: 0 done, 1 failed, 2 wrong call, 77 not allowed, 78 something is missing.
set -eu
umask 022
unset PYTHONPATH PYTHONHOME CDPATH

OPT=/opt/syncd STATE=/var/lib/syncd BIN=/usr/local/bin UNITS=/etc/systemd/system ACCOUNT=syncd
MARK='Made by install.sh of syncd'
SPACE_MB=${SYNCD_SPACE_MB:-400}
root='' python='' new=''
here=$(cd -- "$(dirname -- "$0")" && pwd)

case "${SYNCD_LANGUAGE:-${LC_ALL:-${LANG:-}}}" in vi*) language='vi' ;; *) language='en' ;; esac
say() { if [ "$language" = vi ]; then printf '%s\n' "$1"; else printf '%s\n' "$2"; fi; }
fail() { code=$1; shift; say "lỗi: $1" "error: $2" >&2; exit "$code"; }

usage() { sed -n '2,16s/^# \{0,1\}//p' "$here/install.sh" >&2; exit 2; }

# --- what must be there before anything is written ----------------------------------------------------------------------

require_root() {
    [ -n "$root" ] || [ "$(id -u)" = 0 ] || fail 77 \
        "cần quyền root — chạy: sudo sh install.sh …" "root is needed — run: sudo sh install.sh …"
}

find_python() {
    if [ -n "$python" ]; then set -- "$python"; else set -- python3.14 python3.13 python3.12 python3.11 python3; fi
    for candidate; do
        "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$candidate" -I -c '
import ensurepip, venv, pip, sys
sys.exit([int(part) for part in pip.__version__.split(".")[:2]] < [22, 3])
' 2>/dev/null; then
            python=$candidate pip=''
            return
        fi
        pip=$("$candidate" -I -c '
import ensurepip, pathlib, sysconfig, venv
folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), pathlib.Path(ensurepip.__file__).parent / "_bundled"]
print(next(str(file) for folder in folders if folder for file in sorted(pathlib.Path(folder).glob("pip-*.whl"))))
' 2>/dev/null) || { without=$candidate; continue; }
        python=$candidate
        return
    done
    [ -z "${without:-}" ] || fail 78 \
        "$without không lập được môi trường riêng — chạy: apt-get install python3-venv" \
        "$without cannot make an environment — run: apt-get install python3-venv"
    fail 78 "không có Python 3.11 trở lên — chạy: apt-get install python3 python3-venv, hoặc nêu --python" \
        "no Python 3.11 or later — run: apt-get install python3 python3-venv, or name one with --python"
}

is_listed() { sed -n 's/^[0-9a-fA-F]\{64\} [ *]\(\.\/\)\{0,1\}//p' "$sums" | grep -qxF -e "$1"; }

# Sets `wheel`: the one of syncd itself. A wheel is a zip with a checksum for each file.
find_wheel() {
    [ -e "$1" ] || fail 1 "không có $1" "there is no $1"
    folder='' from=$1
    if [ -d "$1" ]; then
        folder=$(cd -- "$1" && pwd)
    else
        folder=$(cd -- "$(dirname -- "$1")" && pwd)
    fi
    [ "$folder" != / ] || folder=''
    if [ -d "$1" ]; then set -- "$folder"/syncd-*.whl; else set -- "$folder/$(basename -- "$1")"; fi
    wheel=$1
    case "${wheel##*/}" in
        syncd-\**) fail 1 "$from không có tệp syncd-….whl" "$from has no syncd-….whl" ;;
        syncd-*.whl) ;;
        *) fail 1 "$from không có tệp syncd-….whl" "$from has no syncd-….whl" ;;
    esac
    [ $# -eq 1 ] || fail 1 "$from có $# bản syncd — nêu đúng tệp muốn cài" \
        "$from has $# releases of syncd — name the file to install"
    sums=$folder/SHA256SUMS
    if [ -f "$sums" ]; then
        (cd -- "$folder/" && sha256sum -c SHA256SUMS >/dev/null 2>&1) || fail 1 \
            "tệp không khớp $sums — chép lại từ nguồn" "the files are not those of $sums — copy them again"
    fi
    [ ! -d "$from" ] || set -- "$folder"/*.whl
    for each; do
        [ ! -f "$sums" ] || is_listed "${each##*/}" || fail 1 \
            "$sums không nêu $each — chép lại từ nguồn, hoặc bỏ tệp đó đi" \
            "$sums does not list $each — copy it again, or take that file away"
        "$python" -I -c 'import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)' "$each" \
            2>/dev/null || fail 1 "$each bị hỏng — chép lại từ nguồn" "$each is damaged — copy it again"
    done
    version=$(printf '%s\n' "${wheel##*/}" | cut -d- -f2)
    name=$version-$(sha256sum <"$wheel" | cut -c1-12)
}

require_space() {
    free_mb=$(df -Pm "$root$OPT" | awk 'NR == 2 { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { print $(i - 1); exit } }')
    [ "$free_mb" -ge "$SPACE_MB" ] || fail 1 \
        "đĩa của $root$OPT chỉ còn $free_mb MB, cần $SPACE_MB MB — giải phóng đĩa; chưa thay đổi gì" \
        "only $free_mb MB are free at $root$OPT, $SPACE_MB MB are needed — free the disk; nothing was changed"
}

# What lies there and is not ours is somebody else's.
require_ours() {
    [ ! -e "$root$OPT" ] || [ -f "$root$OPT/.$ACCOUNT" ] || [ -z "$(ls -A "$root$OPT")" ] || fail 1 \
        "$root$OPT có sẵn và không phải của syncd — dời nó đi" "$root$OPT is there and not syncd's — move it away"
    for file in "$BIN/syncd" "$UNITS/syncd.service" "$UNITS/syncd@.service"; do
        [ ! -e "$root$file" ] || grep -q "$MARK" "$root$file" || fail 1 \
            "$root$file có sẵn và không phải của syncd — dời nó đi" "$root$file is there and not syncd's — move it away"
    done
    for file in syncd.service syncd@.service; do
        [ -f "$here/$file" ] || fail 1 "thiếu $file cạnh install.sh" "$file is missing beside install.sh"
    done
}

# --- steps ---------------------------------------------------------------------------------------------------------------

# Set while it changes over: who was killed in between is finished by the same call again.
changing() { [ "$(cat "$root$OPT/.changing" 2>/dev/null)" = "$1 $2" ]; }
current() { readlink "$root$OPT/current" 2>/dev/null | sed 's|.*/||'; }
previous() { readlink "$root$OPT/previous" 2>/dev/null | sed 's|.*/||'; }
point() { ln -sfn "versions/$2" "$root$OPT/.$1.new" && mv -T "$root$OPT/.$1.new" "$root$OPT/$1"; }
has_systemd() { [ -d "$root/run/systemd/system" ] && command -v systemctl >/dev/null; }
units() { ! has_systemd || systemctl list-units --plain --no-legend "$1" 'syncd.service' 'syncd@*.service' | awk '{ print $1 }'; }
running() { units --state=active,activating; }
enabled() { find "$root$UNITS" -path '*.wants/*' \( -name 'syncd.service' -o -name 'syncd@?*.service' \) 2>/dev/null || true; }

# The interpreter's own pip, else the one that Python brings for making environments; the environment itself has none.
run_pip() {
    if [ -n "$pip" ]; then
        PYTHONPATH=$pip "$new/bin/python" -P -m pip "$@"
    else
        "$python" -I -m pip --python "$new/bin/python" "$@"
    fi
}

# An environment in its final place; removed again unless it has shown that it works.
build() {
    new=$root$OPT/versions/$name
    rm -rf "$new"
    trap 'rm -rf "$new"' EXIT
    trap 'exit 130' INT TERM HUP
    say "Đang lập môi trường riêng $new …" "Making the environment $new …"
    "$python" -I -m venv --without-pip "$new" || fail 1 \
        "không lập được $new; bản đang dùng vẫn như cũ — xem dòng ở trên (đĩa đầy?)" \
        "cannot make $new; the version in use is as it was — see the line above (a full disk?)"
    # pip is called in the wheels' folder: a name with a semicolon or a bracket before it would mean something to it.
    if [ -d "$1" ]; then set -- --no-index --find-links=.; else set --; fi
    (cd -- "$folder/" && run_pip install -q --disable-pip-version-check --no-input --root-user-action=ignore "$@" \
        "./${wheel##*/}") || fail 1 \
        "không cài được; bản đang dùng vẫn như cũ — xem dòng của pip ở trên (không có mạng: nêu thư mục đủ các wheel)" \
        "not installed, the version in use is as it was — see pip's line above (no network: name a folder of all wheels)"
    trial=$(mktemp -d) || fail 1 "không tạo được thư mục tạm; bản đang dùng vẫn như cũ — xem TMPDIR" \
        "cannot make a temporary folder; the version in use is as it was — see TMPDIR"
    "$new/bin/python" -I -m syncd init --dir "$trial/node" --unit 0 --unit-name thử >/dev/null 2>"$trial/log" || {
        cat "$trial/log" >&2; rm -rf "$trial"
        fail 1 "bản mới không chạy được trên máy này; bản đang dùng vẫn như cũ" \
            "the new version does not work on this machine; the version in use is as it was"
    }
    rm -rf "$trial"
    trap - EXIT
}

# With shadow's useradd, else Debian's adduser, else BusyBox's; what the last of them says is shown.
add_account() {
    if command -v useradd >/dev/null; then
        useradd --system --user-group --home-dir "$STATE" --shell /usr/sbin/nologin "$ACCOUNT"
    elif command -v adduser >/dev/null; then
        adduser --system --group --no-create-home --home "$STATE" --shell /usr/sbin/nologin "$ACCOUNT" 2>/dev/null || {
            { grep -q "^$ACCOUNT:" /etc/group 2>/dev/null || addgroup -S "$ACCOUNT"; } &&
                adduser -S -D -H -h "$STATE" -s /sbin/nologin -G "$ACCOUNT" "$ACCOUNT"
        }
    else
        return 1
    fi
}

make_account() {
    [ -z "$root" ] || return 0
    id "$ACCOUNT" >/dev/null 2>&1 || add_account || fail 78 \
        "không tạo được tài khoản $ACCOUNT — tạo tài khoản và nhóm hệ thống tên đó bằng công cụ của máy, rồi chạy lại" \
        "cannot make the account $ACCOUNT — make a system account and group of that name, then run this again"
    [ -d "$STATE" ] || install -d -m 0700 -o "$ACCOUNT" -g "$ACCOUNT" "$STATE"
}

# A file is there whole or as it was, also the one that is being run; readable whatever the source allows.
place() {
    [ ! "$1" -ef "$2" ] || return 0
    cp -- "$1" "$2.new" && chmod 644 "$2.new" && mv -- "$2.new" "$2"
}

place_files() {
    mkdir -p "$root$BIN" "$root$UNITS"
    printf '#!/bin/sh\n# %s\nexec %s/current/bin/python -I -m syncd "$@"\n' "$MARK" "$OPT" >"$root$BIN/.syncd.new"
    chmod 755 "$root$BIN/.syncd.new"
    mv "$root$BIN/.syncd.new" "$root$BIN/syncd"
    for file in syncd.service syncd@.service; do
        place "$here/$file" "$root$UNITS/$file"
        place "$here/$file" "$root$OPT/deploy/$file"
    done
    place "$here/install.sh" "$root$OPT/deploy/install.sh"
    ! has_systemd || systemctl daemon-reload
}

# Restarts these units; 1 where one of them does not come up (Type=notify: it has said that it is ready).
restart() {
    for unit in "$@"; do
        say "Khởi động lại $unit …" "Restarting $unit …"
        systemctl restart "$unit" || return 1
    done
}

# `$1`: install, upgrade or rollback.
change_over() {
    before=$(current) earlier=$(previous) ran=$(running)
    printf '%s\n' "$1 $name" >"$root$OPT/.changing"
    if [ "$before" = "$name" ]; then
        before=$earlier
    elif [ -n "$before" ]; then
        point previous "$before"
    fi
    point current "$name"
    # shellcheck disable=SC2086  # a word for each unit
    restart $ran || {
        say "bản mới không lên được, quay lại $before" "the new version does not come up, going back to $before" >&2
        [ -z "$before" ] || point current "$before"
        rm -f "$root$OPT/previous"
        [ -z "$earlier" ] || point previous "$earlier"
        # shellcheck disable=SC2086
        restart $ran || true
        rm -f "$root$OPT/.changing"
        fail 1 "đã quay lại $before — xem: journalctl -u 'syncd*'" "back at $before — see: journalctl -u 'syncd*'"
    }
    for old in "$root$OPT"/versions/*; do
        case "${old##*/}" in "$(current)" | "$(previous)") ;; *) rm -rf "$old" ;; esac
    done
    rm -f "$root$OPT/.changing"
}

# --- verbs ---------------------------------------------------------------------------------------------------------------

do_install() {
    require_root; require_ours; find_python; find_wheel "$1"
    if [ "$(current)" = "$name" ] && { changing install "$name" || changing upgrade "$name"; }; then
        say "Làm nốt lần cài bị ngắt …" "Finishing what was interrupted …"
        make_account; place_files; change_over "$2"
        say "Đã cài syncd $version vào $root$OPT." "syncd $version is installed in $root$OPT."
        return
    fi
    if [ "$(current)" = "$name" ]; then
        say "syncd $version này đã được cài; không đổi gì." "This syncd $version is installed already; nothing changed."
        return
    fi
    [ "$2" = upgrade ] || [ -z "$(current)" ] || fail 1 \
        "đã có syncd $(current) — dùng: install.sh upgrade" "syncd $(current) is installed — use: install.sh upgrade"
    [ "$2" = install ] || [ -n "$(current)" ] || fail 1 \
        "chưa cài syncd — dùng: install.sh install" "syncd is not installed — use: install.sh install"
    mkdir -p "$root$OPT"
    touch "$root$OPT/.$ACCOUNT"
    mkdir -p "$root$OPT/versions" "$root$OPT/deploy"
    require_space
    build "$1"
    make_account
    place_files
    change_over "$2"
    say "Đã cài syncd $version vào $root$OPT." "syncd $version is installed in $root$OPT."
    [ "$2" = upgrade ] || say \
        "Tiếp theo: sudo -u $ACCOUNT syncd join --dir $STATE - < ma.txt; systemctl enable --now syncd" \
        "Next: sudo -u $ACCOUNT syncd join --dir $STATE - < token.txt; systemctl enable --now syncd"
}

do_rollback() {
    require_root
    back=$(previous)
    for each in "$root$OPT"/versions/*; do  # one that was interrupted goes where it was going
        ! changing rollback "${each##*/}" || back=${each##*/}
    done
    if [ "$back" = "$(current)" ] && ! changing rollback "$back"; then back=''; fi
    [ -n "$back" ] && [ -d "$root$OPT/versions/$back" ] || fail 1 \
        "không có bản trước để quay lại" "there is no earlier version to go back to"
    name=$back
    change_over rollback
    say "Đã quay lại syncd $back." "Back at syncd $back."
}

do_uninstall() {
    require_root; require_ours
    [ -f "$root$OPT/.$ACCOUNT" ] || fail 1 "chưa cài syncd trong $root$OPT" "syncd is not installed in $root$OPT"
    if has_systemd; then
        for unit in $({ units --all; enabled | sed 's|.*/||'; } | sort -u); do systemctl disable --now "$unit"; done
    fi
    enabled | while IFS= read -r link; do rm -f "$link"; done
    rm -f "$root$BIN/syncd" "$root$UNITS/syncd.service" "$root$UNITS/syncd@.service"
    # What says that it is ours goes last.
    rm -rf "$root$OPT/versions" "$root$OPT/deploy" "$root$OPT/current" "$root$OPT/previous"
    rm -rf "$root$OPT"
    ! has_systemd || systemctl daemon-reload
    say "Đã gỡ syncd. Dữ liệu và khóa còn nguyên trong $root$STATE; tài khoản $ACCOUNT cũng còn." \
        "syncd is removed. Data and keys are left in $root$STATE, and so is the account $ACCOUNT."
}

do_versions() {
    used=$(current) before=$(previous)
    say "đang dùng: ${used:-chưa cài}" "in use:    ${used:-none}"
    say "bản trước: ${before:-không có}" "before:    ${before:-none}"
}

verb='' source=''
while [ $# -gt 0 ]; do
    case "$1" in
        --root) [ $# -gt 1 ] || usage; mkdir -p -- "$2"; root=$(cd -- "$2" && pwd); shift ;;
        --python)
            [ $# -gt 1 ] || usage
            case "$2" in /*) python=$2 ;; */*) python=$PWD/$2 ;; *) python=$2 ;; esac
            shift
            ;;
        -*) usage ;;
        *) if [ -z "$verb" ]; then verb=$1; elif [ -z "$source" ]; then source=$1; else usage; fi ;;
    esac
    shift
done
[ "$root" != / ] || root=''
case "$verb:${source:+with}" in
    install:with | upgrade:with) do_install "$source" "$verb" ;;
    rollback: | uninstall: | versions:) "do_$verb" ;;
    *) usage ;;
esac
