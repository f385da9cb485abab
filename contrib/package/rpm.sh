# Called by contrib/package/build, after the sdist: makes the source package, from which each distribution makes its own, and
# the packages of the targets whose Python is that of Debian 12, 3.11, so that the byte code is right. TARGETS names others.
# The library is packed as the interpreter PYTHON has it.
set -eu
umask 022
here=$PWD/contrib/package
top=$WORK/rpm
targets=${TARGETS:-el8 sles15}
command -v rpmbuild >/dev/null || {
    echo "rpmbuild is missing: apt-get install rpm" >&2
    exit 1
}
[ -f "$SDIST" ] || {
    echo "$SDIST is missing: contrib/package/build rpm makes it first" >&2
    exit 1
}
rm -rf "$top"
mkdir -p "$top/SOURCES" "$top/SPECS"
cp "$SDIST" "$top/SOURCES/tcp_headroom-$VERSION.tar.gz"

library=$("${PYTHON:-build/tools/bin/python}" "$here/library.py" "$top/library")
find "$top/library" -type d -exec chmod 755 {} +
find "$top/library" -type f -exec chmod 644 {} +
tar -C "$top/library" --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    -c "nagiosplugin-$library" | gzip -9n >"$top/SOURCES/nagiosplugin-$library.tar.gz"

spec=$top/SPECS/tcp-headroom.spec
sed -e "s/@VERSION@/$VERSION/g" -e "s/@LIBRARY@/$library/g" \
    -e "s/@CHANGED@/$(LC_ALL=C date -u -d "$DATE" '+%a %b %d %Y')/" "$here/tcp-headroom.spec" >"$spec"
find "$top" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# The same bytes each time: no name of this machine, no time of today. A home of its own: no macros of who builds.
# Dependencies are those of the target: only --nodeps builds for it on Debian, whose sh cannot run its own brp-compress.
made() {
    (cd "$top" && HOME=$top rpmbuild --quiet --nodeps --define "_buildhost tcp-headroom.localhost" \
        --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
        --define "__brp_compress bash %{_rpmconfigdir}/brp-compress %{_prefix}" \
        --define "_binary_payload w9.gzdio" --define "_source_payload w9.gzdio" "$@") >"$top/log" 2>&1 || {
        cat "$top/log" >&2
        exit 1
    }
}
# The source package contains the spec with its macros replaced, so the place must have the same name each time.
made --define "_topdir ." -bs SPECS/tcp-headroom.spec
for target in $targets; do
    made --define "_topdir $top" --load "$here/rpm/$target.macros" --define "dist .$target" -bb "$spec"
done
cp "$top"/SRPMS/*.src.rpm "$top"/RPMS/noarch/*.rpm "$DIST/"
