# The package of Debian 11 and later into $DIST; contrib/package/build calls it, with its variables and the sdist made.
# DEB_BUILD_OPTIONS=nocheck: without the tests, and without lintian.
place=$WORK/deb
case $place in *" "*)
    echo "pybuild takes no blank in a path: build in a clone elsewhere than $PWD" >&2
    exit 1
    ;;
esac
mkdir "$place"
cp "$SDIST" "$place/tcp-headroom_$VERSION.orig.tar.gz"
tar -xf "$SDIST" -C "$place"
cd "$place/tcp_headroom-$VERSION"
cp -R contrib/package/debian debian
maintainer=$(sed -n 's/^Maintainer: //p' debian/control)
cat >debian/changelog <<end
tcp-headroom ($VERSION-1) unstable; urgency=medium

  * Version $VERSION; what is new in it is in changelog.gz.

 -- $maintainer  $(date -R -d "@$SOURCE_DATE_EPOCH")
end
find debian -exec touch -d "@$SOURCE_DATE_EPOCH" {} +

case " ${DEB_BUILD_OPTIONS:-} " in
*" nocheck "*) export DEB_BUILD_PROFILES=nocheck ;;
esac
dpkg-buildpackage --no-sign >"$WORK/deb.log" 2>&1 || {
    cat "$WORK/deb.log" >&2
    exit 1
}
if [ "${DEB_BUILD_PROFILES:-}" != nocheck ]; then
    grep -E '^[0-9]+ passed|^=.* in [0-9.]+s' "$WORK/deb.log"
    lintian --info --display-info --pedantic --fail-on error,warning,info,pedantic --allow-root "$place"/*.changes
fi
cp "$place"/*.deb "$DIST"
