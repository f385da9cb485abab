# The other ways to install that the README answers, each in this root and then run: ways.sh RELEASE
release=$1

works() {
    for command in check_tcp_kernel_log check_tcp_limits check_tcp_mem check_tcp_orphans; do
        code=0
        said=$("$1/$command" --no-state) || code=$?
        case $said in "TCP "*) ;; *) echo "$1/$command: $said"; exit 1 ;; esac
        [ $code -le 3 ]
    done
    echo "works: $2"
}

apt-get -qq update
[ "$release" = 11 ] || pipx=pipx
apt-get -qq install --no-install-recommends ${pipx:-} python3-nagiosplugin python3-pip python3-setuptools python3-wheel >/dev/null
git clone --quiet /mnt/source.bundle $HOME/clone
cd $HOME/clone

if [ -n "${pipx:-}" ]; then
    PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install . >/dev/null
    works /usr/local/bin pipx
fi

if [ "$release" = 11 ]; then
    pip install --quiet --user .
    works $HOME/.local/bin "pip install --user"
else
    ! pip install --quiet --user . 2>$HOME/refused
    grep -q externally-managed-environment $HOME/refused
    echo "refused, as the README says: pip install --user"
fi

python3 -m venv --system-site-packages /opt/system
/opt/system/bin/pip install --quiet --no-index --no-build-isolation .
works /opt/system/bin "Debian's python3-nagiosplugin"

python3 -m venv build
build/bin/pip --quiet wheel --wheel-dir $HOME/wheels .
python3 -m venv /opt/offline
unshare --net /opt/offline/bin/pip install --quiet --no-index --find-links $HOME/wheels tcp-headroom
works /opt/offline/bin "offline, wheels"

python3 -m venv /opt/wheel
/opt/wheel/bin/pip install --quiet $HOME/wheels/tcp_headroom-*.whl
works /opt/wheel/bin "a wheel"

build/bin/pip --quiet install setuptools
build/bin/python -c 'from setuptools import build_meta; build_meta.build_sdist("..")' >/dev/null
python3 -m venv /opt/sdist
/opt/sdist/bin/pip install --quiet $HOME/tcp[-_]headroom-*.tar.gz
works /opt/sdist/bin "an sdist"
