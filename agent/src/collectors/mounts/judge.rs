//! What an answer, or none, means: the state of a mount, in numbers and in words.

use super::mountinfo::Mount;
use super::select::is_remote;
use crate::config::AgentConfig;
use crate::workers::mounts::{Probe, Room};
use fleetlight_protocol::samples::{MountSample, MountState};
use rustix::io::Errno;

/// When an answer is late, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub slow_ms: u64,
    pub hung_ms: u64,
}

impl Patience {
    pub fn new(config: &AgentConfig) -> Self {
        Self { slow_ms: config.mount_slow_ms.into(), hung_ms: config.mount_hung_ms.into() }
    }
}

/// The state of one mount now.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub state: MountState,
    /// What it means here and what to do; empty when ok. It holds no number that changes while the
    /// state stays, so that it can be compared.
    pub reason: String,
    pub sample: MountSample,
}

/// What to make of `probe`. None as long as nothing can be said: a mount that has just appeared and
/// is not late yet, one that is gone or hidden beneath another, one that holds no files.
pub fn judge(mount: &Mount, probe: &Probe, patience: Patience) -> Option<Verdict> {
    if probe.crowded {
        let reason = "not asked: too many other mounts keep the agent waiting; mend those first".to_owned();
        return Some(without_room(MountState::Error, reason, None));
    }
    let out_ms = probe.out_ms.unwrap_or(0);
    let took_us = probe.last.map_or(0, |done| done.took_us).max(out_ms.saturating_mul(1_000));
    let seconds = Some(took_us as f64 / 1e6);
    if out_ms >= patience.hung_ms {
        return Some(without_room(MountState::Hung, hung(mount, patience), seconds));
    }
    let late = took_us > patience.slow_ms.saturating_mul(1_000);
    let (state, reason) =
        if late { (MountState::Slow, slow(mount, patience)) } else { (MountState::Ok, String::new()) };
    match probe.last.map(|done| done.result) {
        // Nothing but silence so far.
        None => late.then(|| without_room(state, reason, seconds)),
        Some(Err(errno)) => failed(mount, Errno::from_raw_os_error(errno), seconds),
        // df leaves these out too: kernel state that looks like a file system.
        Some(Ok(room)) if room.blocks == 0 && !is_remote(&mount.fs_type) => None,
        Some(Ok(room)) => {
            let sample = MountSample { probe_seconds: seconds, state: number(state), ..sizes(room) };
            Some(Verdict { state, reason, sample })
        }
    }
}

/// When the attempt that is out will make its mount hung, in milliseconds from now.
pub fn hung_in_ms(probe: &Probe, patience: Patience) -> Option<u64> {
    patience.hung_ms.checked_sub(probe.out_ms?).filter(|left| *left > 0)
}

/// None of these for a file system without blocks, as some FUSE ones are: they do not say.
fn sizes(room: Room) -> MountSample {
    if room.blocks == 0 {
        return MountSample::default();
    }
    let bytes = |blocks: u64| Some(blocks as f64 * room.block_bytes as f64);
    let inodes = (room.inodes > 0).then_some(room.inodes);
    MountSample {
        total_bytes: bytes(room.blocks),
        used_bytes: bytes(room.blocks.saturating_sub(room.blocks_free)),
        available_bytes: bytes(room.blocks_available),
        inodes_total: inodes.map(|all| all as f64),
        inodes_used: inodes.map(|all| all.saturating_sub(room.inodes_free) as f64),
        ..MountSample::default()
    }
}

fn without_room(state: MountState, reason: String, probe_seconds: Option<f64>) -> Verdict {
    let sample = MountSample { probe_seconds, state: number(state), ..MountSample::default() };
    Verdict { state, reason, sample }
}

fn number(state: MountState) -> Option<f64> {
    Some(f64::from(state as u8))
}

fn failed(mount: &Mount, errno: Errno, seconds: Option<f64>) -> Option<Verdict> {
    let place = mount.mount_point.display();
    let (state, reason) = match errno {
        // Just unmounted, or hidden beneath another mount: nobody can reach it.
        Errno::NOENT | Errno::NOTDIR => return None,
        Errno::STALE => (
            MountState::Stale,
            format!(
                "the server no longer knows this mount (stale file handle); unmount it (umount -l {place}) and mount it again"
            ),
        ),
        Errno::NOTCONN | Errno::CONNABORTED => (
            MountState::Stale,
            format!("the process that served it is gone; unmount it (umount {place}) and mount it again"),
        ),
        Errno::HOSTDOWN => {
            (MountState::Stale, format!("the server of {} is down; start it or check the network", mount.source))
        }
        Errno::ACCESS | Errno::PERM => (
            MountState::Error,
            format!("the agent's user may not reach {place} ({errno}); let it pass through the folders above"),
        ),
        other => (MountState::Error, format!("statvfs of {place} fails: {other}; look into the kernel's log (dmesg)")),
    };
    Some(without_room(state, reason, seconds))
}

fn slow(mount: &Mount, patience: Patience) -> String {
    let who = if is_remote(&mount.fs_type) { "its server or the network is" } else { "the disk is" };
    format!("took longer than {} ms to answer; {who} overloaded or failing", patience.slow_ms)
}

fn hung(mount: &Mount, patience: Patience) -> String {
    let (place, source) = (mount.mount_point.display(), &mount.source);
    let kind = mount.fs_type.as_str();
    let advice = if kind.starts_with("fuse") {
        let connection = mount.device.split_once(':').map_or("?", |(_, minor)| minor);
        format!(
            "the process that serves it ({source}) hangs: restart it, or release those who wait with \
             echo 1 > /sys/fs/fuse/connections/{connection}/abort and umount {place}"
        )
    } else if kind.starts_with("nfs") {
        let server = source.rsplit_once(':').map_or(source.as_str(), |(server, _)| server);
        format!(
            "the NFS server {server} does not answer: check it and the network, or release those who wait with umount -f -l {place}"
        )
    } else if is_remote(kind) {
        format!("{source} does not answer: check it and the network, or give the mount up with umount -f -l {place}")
    } else {
        format!("the device {source} does not answer: look into the kernel's log (dmesg) for I/O errors")
    };
    format!("no answer for {} ms; {advice}", patience.hung_ms)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
