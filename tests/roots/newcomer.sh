# What a newcomer does in a fresh root: newcomer.sh USER UMASK WHAT
# Everything below runs as USER, root or an ordinary one, but what makes the account and the root itself ready.
user=$1 umask=$2 what=$3

as_user() {
    if [ "$user" = root ]; then sh -euc "$1"; else setpriv --reuid=4242 --regid=4242 --clear-groups env HOME=/home/user sh -euc "$1"; fi
}

[ "$user" = root ] || {
    echo user:x:4242: >>/etc/group
    echo user:x:4242:4242::/home/user:/bin/sh >>/etc/passwd
    mkdir -m 700 /home/user
    chown 4242:4242 /home/user
}
case $what in
nagiosplugin*) echo "nagiosplugin==${what#* }" >/etc/constraints; export PIP_CONSTRAINT=/etc/constraints ;;
esac
arguments=--quick
if [ "$what" = whole ]; then
    # All that the README says the tests need, but for the kernel lab and the builds of packages, which are the same in any root.
    arguments="--ignore tests/real/test_packages.py --ignore tests/real/test_rpm.py"
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    git clone --quiet /mnt/source.bundle /tmp/clone
    packages=$(sed -n 's/^apt-get install --no-install-recommends \(busybox-static .*\)/\1/p' /tmp/clone/README.md | sed 's/qemu-system-[a-z0-9]*//g')
    [ -n "$packages" ]
    apt-get -qq update
    apt-get -qq install --no-install-recommends $packages >/dev/null
fi
as_user "
    umask $umask
    cd
    git clone --quiet /mnt/source.bundle tcp-headroom
    if [ '$what' = sdist ]; then
        python3 -m venv build
        build/bin/pip --quiet install setuptools
        cd tcp-headroom
        ../build/bin/python -c 'from setuptools import build_meta; build_meta.build_sdist(\"..\")' >/dev/null
        cd ..
        rm -rf tcp-headroom
        mkdir tcp-headroom
        tar -xf tcp[-_]headroom-*.tar.gz -C tcp-headroom --strip-components=1
    fi
    cd tcp-headroom
    contrib/try | tee ../tried
    [ \$(grep -c '^exit [0-3]\$' ../tried) = 4 ]
    tests/run $arguments
"
if [ "$what" = whole ]; then
    (umask 077; git clone --quiet /mnt/source.bundle $HOME/private)
    cd $HOME/private
    . /mnt/quick_start.sh
fi
