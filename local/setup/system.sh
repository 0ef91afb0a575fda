#!/bin/bash
# Install the Debian packages that the demo and the browser test use, where apt is there. A package
# that cannot be installed is named, with what does not work without it; it is never an error.
set -uo pipefail

packages=(
    ffmpeg                           # tests read chunks with it
    chromium                         # the browser test
    opencv-doc                       # the cameras' clips
    python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav
    mpv vlc-bin vlc-plugin-base gstreamer1.0-tools   # tests play the playlists with them
)

without() {
    echo "setup: $1; going on without: ${missing[*]}." >&2
    echo "setup: without GStreamer the demo plays clips as files instead of over RTSP, without" \
        "opencv-doc it draws them, and tests that need ffmpeg, chromium, RTSP or a player are skipped." >&2
    exit 0
}

missing=()
if command -v dpkg-query >/dev/null; then
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null |
        awk '$1 == "ii" { print $2 }')
    for package in "${packages[@]}"; do
        grep -qx "$package" <<<"$installed" || missing+=("$package")
    done
else
    missing=("${packages[@]}")
fi
[ ${#missing[@]} -eq 0 ] && exit 0
# A machine where it failed is not asked again and again; a changed list is.
[ "$(cat .venv/.system 2>/dev/null)" = "${missing[*]}" ] && exit 0
echo "${missing[*]}" >.venv/.system

command -v apt-get >/dev/null || without "apt is not available"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || without "neither root nor sudo is available for apt"
    sudo=(sudo)
    # Without a terminal there is no one to type a password.
    [ -t 0 ] || sudo=(sudo -n)
fi
echo "setup: installing Debian packages: ${missing[*]}"
apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
"${apt[@]}" update >.venv/apt.log 2>&1 || echo "setup: apt's lists cannot be refreshed; trying with the old ones." >&2
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >>.venv/apt.log 2>&1 ||
    without "apt cannot install them (see .venv/apt.log)"
rm -f .venv/.system
