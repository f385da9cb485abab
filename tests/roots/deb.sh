# The life of the package in this root: deb.sh. An earlier build beside stock NRPE, Icinga 2 and Nagios, upgraded to
# /mnt/package.deb, removed, purged. No daemon is started by its package.
export DEBIAN_FRONTEND=noninteractive
name=monitoring-plugins-tcp-headroom
plugins=/usr/lib/nagios/plugins
state=/var/lib/tcp-headroom
documents=/usr/share/doc/$name
work=$(mktemp -d)
chmod 755 "$work"
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
apt-get -qq update
git -c advice.detachedHead=false clone --quiet /mnt/source.bundle $work/clone

step() {
    printf '\n== %s\n' "$*"
}

install() {
    apt-get -qq install --no-install-recommends "$@" >$work/apt 2>&1 || {
        cat $work/apt
        exit 1
    }
}

version() {
    dpkg-query --show --showformat '${Status} ${Version}' $name
}

each_as_nagios() {
    for command in check_tcp_kernel_log check_tcp_limits check_tcp_mem check_tcp_orphans; do
        code=0
        said=$(cd / && env -i setpriv --reuid=nagios --regid=nagios --init-groups $plugins/$command 2>&1) || code=$?
        echo "$code $said"
        [ $code -le 3 ]
        [ "$(printf '%s\n' "$said" | wc -l)" = 1 ]
        case $said in *"cannot be imported"*) exit 1 ;; "TCP "*) ;; *) exit 1 ;; esac
    done
}

step "an earlier build, in one run with NRPE, which makes the user"
mkdir $work/packages
cp /mnt/package.deb $work/packages/$name.deb
current=$(dpkg-deb --field /mnt/package.deb Version)
dpkg-deb --raw-extract /mnt/package.deb $work/earlier
sed -i "s/^Version: .*/Version: 0~earlier/" $work/earlier/DEBIAN/control
dpkg-deb --build $work/earlier $work/packages/$name-earlier.deb >/dev/null
[ -z "$(getent passwd nagios)" ]
install $work/packages/$name-earlier.deb nagios-nrpe-server
[ "$(version)" = "install ok installed 0~earlier" ]
[ "$(stat -c '%U %G %a' $state)" = "nagios nagios 700" ]
ls /usr/share/tcp-headroom/tcp_headroom/__pycache__/wording.*.pyc
each_as_nagios
ls -l $state
[ -s $state/peaks.json ]

step "what its autopkgtest does"
(cd $work/clone && contrib/package/debian/tests/commands)

step "upgrade: the state stays, and so does what the administrator has changed"
echo "# changed" >>/etc/nagios/nrpe.d/tcp-headroom.cfg
(cd $state && sha256sum *.json) >$work/state
install $work/packages/$name.deb
[ "$(version)" = "install ok installed $current" ]
(cd $state && sha256sum --check --quiet $work/state)
grep -qx "# changed" /etc/nagios/nrpe.d/tcp-headroom.cfg
each_as_nagios

step "stock daemons"
install icinga2-bin icinga2-common monitoring-plugins-basic nagios-nrpe-plugin nagios4-common nagios4-core

checked() {
    "$@" >$work/checked 2>&1 || {
        cat $work/checked
        exit 1
    }
}

# The number of services in what a daemon says of its configuration.
services() {
    sed -n 's/.*\(Checked\|Instantiated\) \([0-9]*\) [Ss]ervices\..*/\2/p' $work/checked
}

echo "Icinga 2, with the commands that include <plugins-contrib> finds"
checked icinga2 daemon -C
before=$(services)
cp $documents/contrib/icinga2/tcp-headroom-services.conf /etc/icinga2/conf.d/
checked icinga2 daemon -C
[ "$(services)" = $((before + 4)) ]
rm /etc/icinga2/conf.d/tcp-headroom-*.conf

echo "Nagios, with the commands of /etc/nagios-plugins/config"
checked nagios4 -v /etc/nagios4/nagios.cfg
before=$(services)
cp $documents/contrib/nagios/tcp-headroom-templates.cfg $documents/contrib/nagios/tcp-headroom-services.cfg /etc/nagios4/conf.d/
checked nagios4 -v /etc/nagios4/nagios.cfg
[ "$(services)" = $((before + 4)) ]
rm /etc/nagios4/conf.d/tcp-headroom-*.cfg

echo "NRPE"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed "s/^server_port=.*/server_port=$port\nserver_address=127.0.0.1/" /etc/nagios/nrpe.cfg >$work/nrpe.cfg
mkdir -p /run/nagios
nrpe -c $work/nrpe.cfg -f &
nrpe=$!
for command in check_tcp_orphans check_tcp_mem check_tcp_limits check_tcp_kernel_log; do
    for attempt in $(seq 50); do
        said=$($plugins/check_nrpe -H 127.0.0.1 -p $port -c $command 2>&1) || :
        case $said in *"onnect"*) sleep 0.2 ;; *) break ;; esac
    done
    echo "$said"
    case $said in "TCP "*) ;; *) exit 1 ;; esac
done
kill $nrpe
wait $nrpe || :

step "remove: only the state and the configuration are left"
named() {
    find / -xdev -path $work -prune -o -path /mnt -prune -o -path /sys -prune -o -path /proc -prune -o \
        \( -name '*tcp-headroom*' -o -name '*tcp_headroom*' -o -name 'check_tcp_[klmo]*' -o -name '_check_tcp_*' \) -print
}
apt-get -qq remove $name >$work/apt
[ "$(grep -c "not empty" $work/apt)" = 0 ]
named | grep -v '^/var/lib/dpkg/info/' | sort | tee $work/left
printf '%s\n' /etc/nagios-plugins/config/tcp-headroom.cfg /etc/nagios/nrpe.d/tcp-headroom.cfg $state | cmp - $work/left

step "purge: nothing is left"
apt-get -qq purge $name >$work/apt
[ "$(grep -c "not empty" $work/apt)" = 0 ]
[ -z "$(named)" ]
echo "the package works"
