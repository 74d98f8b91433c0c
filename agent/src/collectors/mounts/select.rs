//! Which mounts are worth watching.
//!
//! Left out: file systems that hold no files of their own, the layers and scratch space of
//! containers, read-only images, automount points (a look would mount them), and second views
//! (bind mounts) of what is listed already.

use super::mountinfo::Mount;
use crate::limits::MOUNTS;
use fleetlight_protocol::limits::ENTITY_KEY_BYTES;
use std::collections::HashMap;
use std::path::Path;

/// Made of kernel state, or always full by design.
const PSEUDO: [&str; 31] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "fuse.squashfuse",
];

/// Layers over other file systems; only as the root do they say how much room there is.
const LAYERED: [&str; 5] = ["overlay", "aufs", "shiftfs", "fuse.fuse-overlayfs", "unionfs"];

/// Reached over a network, or served by a process that may be gone.
const REMOTE: [&str; 19] = [
    "9p",
    "acfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuseblk",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "panfs",
    "pvfs2",
    "smb3",
    "virtiofs",
    "wekafs",
];

/// Room that the system or its containers use for state, not for people's files.
const SCRATCH: [&str; 8] =
    ["/dev/", "/proc/", "/run/", "/sys/", "/var/lib/containers/", "/var/lib/docker/", "/var/lib/kubelet/", "/var/run/"];

/// Where container engines mount the root of each container, whatever its type.
const CONTAINER_ROOTS: [&str; 3] = ["/var/lib/docker/btrfs/", "/var/lib/docker/devicemapper/", "/var/lib/docker/zfs/"];

/// Whether a file system can hang because something outside this host's kernel does not answer.
pub fn is_remote(fs_type: &str) -> bool {
    fs_type == "fuse" || fs_type.starts_with("fuse.") || REMOTE.contains(&fs_type)
}

/// The mounts to watch, at most [`MOUNTS`], by mount point.
pub fn select(all: Vec<Mount>) -> Vec<Mount> {
    let mut by_place = HashMap::new();
    for mount in all {
        // A later mount at the same place covers the earlier one.
        by_place.insert(mount.mount_point.clone(), mount);
    }
    let mut kept: Vec<_> = by_place.into_values().filter(is_watched).collect();
    kept.sort_by(|a, b| {
        let depth = |mount: &Mount| mount.mount_point.as_os_str().len();
        depth(a).cmp(&depth(b)).then_with(|| a.mount_point.cmp(&b.mount_point))
    });
    // Bind mounts share device and source with what they repeat; two exports of one server may
    // share a device, but not the source.
    let mut seen = HashMap::new();
    kept.retain(|mount| seen.insert((mount.device.clone(), mount.source.clone()), ()).is_none());
    kept.truncate(MOUNTS);
    kept.sort_by(|a, b| a.mount_point.cmp(&b.mount_point));
    kept
}

fn is_watched(mount: &Mount) -> bool {
    let kind = mount.fs_type.as_str();
    let place = mount.mount_point.as_path();
    if place == Path::new("/") {
        return true;
    }
    let below = |folders: &[&str]| {
        folders.iter().any(|folder| place.as_os_str().as_encoded_bytes().starts_with(folder.as_bytes()))
    };
    let scratch = kind == "tmpfs" && place != Path::new("/dev/shm") && (below(&SCRATCH) || place == Path::new("/run"));
    !(PSEUDO.contains(&kind)
        || LAYERED.contains(&kind)
        || scratch
        || below(&CONTAINER_ROOTS)
        // Its key could not be sent, and a shortened one could be another mount's.
        || place.to_string_lossy().len() > ENTITY_KEY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::super::mountinfo::parse;
    use super::*;

    fn selected(text: &str) -> Vec<String> {
        select(parse(text.as_bytes())).into_iter().map(|mount| mount.mount_point.display().to_string()).collect()
    }

    #[test]
    fn a_host_with_docker_snap_and_nfs() {
        let text = "22 27 0:21 / /proc rw - proc proc rw\n\
            23 27 0:22 / /sys rw - sysfs sysfs rw\n\
            24 27 0:6 / /dev rw - devtmpfs devtmpfs rw\n\
            25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw\n\
            26 24 0:24 / /dev/pts rw - devpts devpts rw\n\
            27 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
            28 27 0:25 / /run rw - tmpfs tmpfs rw\n\
            29 28 0:26 / /run/user/1000 rw - tmpfs tmpfs rw\n\
            30 27 7:1 / /snap/core20/2015 ro - squashfs /dev/loop1 ro\n\
            31 27 0:40 / /var/lib/docker/overlay2/ab/merged rw - overlay overlay rw,lowerdir=a\n\
            32 28 0:41 net:[1] /run/docker/netns/ab rw - nsfs nsfs rw\n\
            33 27 254:15 / /boot/efi rw - vfat /dev/vda15 rw\n\
            34 27 0:50 / /mnt/models rw - nfs4 10.0.0.2:/models rw\n\
            35 27 0:51 / /mnt/auto rw - autofs systemd-1 rw\n\
            36 27 0:52 / /var/lib/docker/volumes/nfs/_data rw - nfs4 10.0.0.2:/v rw\n\
            37 27 0:53 / /tmp rw - tmpfs tmpfs rw\n";
        let expected = ["/", "/boot/efi", "/dev/shm", "/mnt/models", "/tmp", "/var/lib/docker/volumes/nfs/_data"];
        assert_eq!(selected(text), expected);
    }

    #[test]
    fn bind_mounts_fold_to_the_shortest_and_exports_do_not() {
        let text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
            2 1 8:1 /home /srv/home rw - ext4 /dev/sda1 rw\n\
            3 1 8:2 /x /data/deep/x rw - xfs /dev/sdb rw\n\
            4 1 8:2 / /data rw - xfs /dev/sdb rw\n\
            5 1 0:60 / /mnt/a rw - nfs4 server:/a rw\n\
            6 1 0:60 / /mnt/b rw - nfs4 server:/b rw\n";
        assert_eq!(selected(text), ["/", "/data", "/mnt/a", "/mnt/b"]);
    }

    #[test]
    fn the_root_of_a_container_is_kept() {
        assert_eq!(selected("1 0 0:9 / / rw - overlay overlay rw,lowerdir=a\n"), ["/"]);
    }

    #[test]
    fn a_later_mount_covers_an_earlier_one() {
        let text = "1 0 8:1 / /mnt rw - ext4 /dev/sda1 rw\n2 1 0:70 / /mnt rw - nfs server:/x rw\n";
        let kept = select(parse(text.as_bytes()));
        assert_eq!(kept.iter().map(|mount| mount.fs_type.as_str()).collect::<Vec<_>>(), ["nfs"]);
    }

    #[test]
    fn the_number_is_bounded_and_keys_fit() {
        let many: String = (0..2 * MOUNTS).map(|n| format!("{n} 0 9:{n} / /m{n} rw - xfs /dev/d{n} rw\n")).collect();
        assert_eq!(selected(&many).len(), MOUNTS);
        let long = format!("1 0 8:1 / /{} rw - ext4 /dev/sda1 rw\n", "x".repeat(ENTITY_KEY_BYTES));
        assert_eq!(selected(&long), [""; 0]);
    }

    #[test]
    fn network_and_fuse_are_remote() {
        for remote in
            ["nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "fuseblk", "9p", "ceph", "lustre", "virtiofs"]
        {
            assert!(is_remote(remote), "{remote}");
        }
        for local in ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fusectl"] {
            assert!(!is_remote(local), "{local}");
        }
    }
}
