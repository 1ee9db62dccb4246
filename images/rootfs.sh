#!/bin/sh
# Lays out the root of the image in the folder that is named: node, the libraries it is linked with, the bundle
# in dist/, and the few files that programs expect. No shell, no package manager.
# usage: images/rootfs.sh FOLDER [NODE]
set -eu

root=$1
node=${2:-$(command -v node)}
dist=$(dirname "$0")/../dist

mkdir -p "$root/usr/local/bin" "$root/app" "$root/etc/ssl/certs" "$root/home/nonroot" "$root/tmp" "$root/var/lib/respmesh"
chmod 1777 "$root/tmp"
chown 65532:65532 "$root/home/nonroot" "$root/var/lib/respmesh" 2>/dev/null || true

cp -L "$node" "$root/usr/local/bin/node"
chmod 755 "$root/usr/local/bin/node"
ldd "$node" | sed -n 's/^.*[[:space:]]\(\/[^ ]*\) (0x.*$/\1/p' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done

cp -R "$dist/." "$root/app/"
chmod -R a+rX "$root/app"

printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
if [ -r /etc/ssl/certs/ca-certificates.crt ]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
fi
