#!/bin/bash
# What a pretended host runs when it is switched on, inside its own network, mount, PID, UTS and IPC namespaces:
# a private view of this machine's disk (reads what is installed, writes to its own), an empty home, and an sshd as PID 1.
#   host.sh NAME ADDRESS DISK STATE PROJECT SHARED KEEP...
# DISK: an empty folder on a tmpfs. PROJECT: hidden, but for what lies in KEEP, folders that stay visible. SHARED: shown as /shared, "" for none.
set -euo pipefail
name=$1 address=$2 disk=$3 state=$4 project=$5 shared=$6
shift 6

mount --make-rprivate /
mkdir -p "$disk/upper" "$disk/work" "$disk/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
root=$disk/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" 2>/dev/null || true
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup" 2>/dev/null || true
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=700 tmpfs "$root/root"

# The project is not there: it must arrive the way it does on a real machine.
mount -t tmpfs tmpfs "$root$project"
for kept in "$@"; do
    case $kept in
        "$project"/* | /root/*) mkdir -p "$root$kept" && mount -t overlay overlay \
            -o "lowerdir=$kept,upperdir=$(mkdir -p "$disk/kept$kept/u" && echo "$disk/kept$kept/u"),workdir=$(mkdir -p "$disk/kept$kept/w" && echo "$disk/kept$kept/w")" "$root$kept" ;;
    esac
done
ln -s "$1" "$root/root/.raysweep" # the environment of Python is there already: no host reaches a package index
printf '[global]\nno-index = true\nno-build-isolation = false\ndisable-pip-version-check = true\nroot-user-action = ignore\n' > "$root/etc/pip.conf"

mkdir -p "$root/run/sshd" "$root/root/.ssh"
chmod 700 "$root/root/.ssh"
chmod 1777 "$root/tmp"
install -m 600 "$state/key.pub" "$root/root/.ssh/authorized_keys"
cp "$state/hosts" "$root/etc/hosts"
ssh-keygen -q -t ed25519 -N '' -f "$root/run/sshd/host_key"
if [ -n "$shared" ]; then mkdir -p "$root/shared" && mount --bind "$shared" "$root/shared"; fi
hostname "$name"
ip link set lo up
cat > "$root/run/sshd/config" <<CONFIG
ListenAddress $address
HostKey /run/sshd/host_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
PidFile none
CONFIG
exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    /usr/sbin/sshd -D -e -f /run/sshd/config
