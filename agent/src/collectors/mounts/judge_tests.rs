//! Each answer and each silence has one meaning.

use super::*;
use crate::workers::mounts::Done;

const PATIENCE: Patience = Patience { slow_ms: 1_000, hung_ms: 5_000 };

fn mount(fs_type: &str, source: &str) -> Mount {
    Mount {
        id: 1,
        device: "0:77".into(),
        mount_point: "/mnt/models".into(),
        fs_type: fs_type.into(),
        source: source.into(),
        options: "rw".into(),
    }
}

fn probe(last: Option<(u64, Result<Room, i32>)>, out_ms: Option<u64>) -> Probe {
    Probe { last: last.map(|(took_us, result)| Done { took_us, result }), out_ms, crowded: false }
}

fn judged(fs_type: &str, source: &str, probe: &Probe) -> Verdict {
    judge(&mount(fs_type, source), probe, PATIENCE).expect("a verdict")
}

const ROOM: Room =
    Room { block_bytes: 4_096, blocks: 100, blocks_free: 40, blocks_available: 30, inodes: 50, inodes_free: 20 };

#[test]
fn sizes_are_those_of_df() {
    let verdict = judged("ext4", "/dev/vda1", &probe(Some((90, Ok(ROOM))), None));
    assert_eq!((verdict.state, verdict.reason.as_str()), (MountState::Ok, ""));
    let sample = verdict.sample;
    assert_eq!(sample.total_bytes, Some(409_600.0));
    assert_eq!(sample.used_bytes, Some(245_760.0));
    assert_eq!(sample.available_bytes, Some(122_880.0));
    assert_eq!((sample.inodes_total, sample.inodes_used), (Some(50.0), Some(30.0)));
    assert_eq!((sample.probe_seconds, sample.state), (Some(0.00009), Some(0.0)));
}

#[test]
fn file_systems_without_inodes_or_blocks_do_not_say_zero() {
    let no_inodes = Room { inodes: 0, inodes_free: 0, ..ROOM };
    let sample = judged("vfat", "/dev/vda15", &probe(Some((90, Ok(no_inodes))), None)).sample;
    assert_eq!((sample.inodes_total, sample.inodes_used), (None, None));
    let empty = probe(Some((90, Ok(Room::default()))), None);
    assert_eq!(judged("fuse.rclone", "r2:", &empty).sample.total_bytes, None);
    assert_eq!(judge(&mount("newpseudofs", "none"), &empty, PATIENCE), None);
}

#[test]
fn lateness_grows_from_ok_to_slow_to_hung() {
    let state = |out_ms| judged("nfs4", "10.0.0.2:/models", &probe(Some((90, Ok(ROOM))), Some(out_ms))).state;
    assert_eq!(state(20), MountState::Ok);
    assert_eq!(state(1_001), MountState::Slow);
    assert_eq!(state(4_999), MountState::Slow);
    assert_eq!(state(5_000), MountState::Hung);
    let answered_late = judged("nfs4", "10.0.0.2:/models", &probe(Some((1_500_000, Ok(ROOM))), None));
    assert_eq!(answered_late.state, MountState::Slow);
    assert_eq!(answered_late.sample.total_bytes, Some(409_600.0));
}

#[test]
fn a_new_mount_is_unknown_until_it_is_late() {
    let silent =
        |out_ms| judge(&mount("fuse.x", "x"), &probe(None, Some(out_ms)), PATIENCE).map(|verdict| verdict.state);
    assert_eq!(silent(0), None);
    assert_eq!(silent(1_500), Some(MountState::Slow));
    assert_eq!(silent(5_000), Some(MountState::Hung));
    assert_eq!(judge(&mount("ext4", "/dev/vda1"), &Probe::default(), PATIENCE), None);
}

#[test]
fn a_hung_mount_has_only_its_state_and_says_what_to_do() {
    let hung = probe(Some((90, Ok(ROOM))), Some(60_000));
    let fuse = judged("fuse.sshfs", "me@box:", &hung);
    assert_eq!((fuse.sample.total_bytes, fuse.sample.probe_seconds), (None, Some(60.0)));
    assert!(fuse.reason.contains("/sys/fs/fuse/connections/77/abort"), "{}", fuse.reason);
    let nfs = judged("nfs4", "[fe80::1]:/models", &hung);
    assert!(nfs.reason.contains("NFS server [fe80::1] does not answer"), "{}", nfs.reason);
    assert!(nfs.reason.contains("umount -f -l /mnt/models"), "{}", nfs.reason);
    assert!(judged("ext4", "/dev/sdb", &hung).reason.contains("dmesg"));
    let later = probe(Some((90, Ok(ROOM))), Some(90_000));
    assert_eq!(judged("fuse.sshfs", "me@box:", &later).reason, fuse.reason, "the words do not change with time");
}

#[test]
fn errors_by_their_numbers() {
    let state = |errno: Errno| {
        let probe = probe(Some((90, Err(errno.raw_os_error()))), None);
        judge(&mount("nfs4", "server:/x"), &probe, PATIENCE).map(|verdict| verdict.state)
    };
    assert_eq!(state(Errno::STALE), Some(MountState::Stale));
    assert_eq!(state(Errno::NOTCONN), Some(MountState::Stale));
    assert_eq!(state(Errno::HOSTDOWN), Some(MountState::Stale));
    assert_eq!(state(Errno::IO), Some(MountState::Error));
    assert_eq!(state(Errno::ACCESS), Some(MountState::Error));
    assert_eq!(state(Errno::NOENT), None);
}

#[test]
fn the_next_look_is_when_the_attempt_becomes_hung() {
    assert_eq!(hung_in_ms(&probe(None, Some(1_200)), PATIENCE), Some(3_800));
    assert_eq!(hung_in_ms(&probe(None, Some(5_000)), PATIENCE), None, "it is hung already");
    assert_eq!(hung_in_ms(&probe(None, None), PATIENCE), None);
}
