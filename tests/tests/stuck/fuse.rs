//! A file system that answers only while the test lets it.
//!
//! Speaks just enough of the kernel's FUSE protocol (linux/fuse.h, version 7.31) to be mounted and
//! to answer statfs: each message is a header of 40 bytes, an answer one of 16.

use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const INIT: u32 = 26;
const STATFS: u32 = 17;
/// FORGET, INTERRUPT, BATCH_FORGET: nobody waits for an answer.
const SILENT: [u32; 3] = [2, 36, 42];
const ENOSYS: i32 = 38;

/// Blocks of 4 KiB that the file system claims to have.
pub const BLOCKS: u64 = 1_000;

/// A mounted file system; dropping it unmounts.
#[derive(Debug)]
pub struct GatedMount {
    pub place: PathBuf,
    device: Arc<File>,
    gate: Arc<Mutex<Gate>>,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Gate {
    silent: bool,
    /// statfs questions that wait for the gate.
    held: Vec<u64>,
}

impl GatedMount {
    /// Mounts one that answers at a new folder.
    ///
    /// # Errors
    /// Without root, without /dev/fuse.
    pub fn new() -> std::io::Result<Self> {
        let place = std::env::temp_dir().join(format!("fleetlight-fuse-{}", std::process::id()));
        std::fs::create_dir_all(&place)?;
        let device = Arc::new(File::options().read(true).write(true).open("/dev/fuse")?);
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let options = CString::new(options).map_err(std::io::Error::other)?;
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        rustix::mount::mount("fleetlight-test", &place, "fuse.fleetlight", flags, options.as_c_str())?;
        let gate = Arc::new(Mutex::new(Gate::default()));
        let server = std::thread::spawn({
            let (device, gate) = (device.clone(), gate.clone());
            move || serve(&device, &gate)
        });
        Ok(Self { place, device, gate, server: Some(server) })
    }

    /// From now on every question is left waiting.
    pub fn fall_silent(&self) {
        self.gate.lock().expect("gate").silent = true;
    }

    /// Answers what waits, and whatever comes.
    pub fn answer_again(&self) {
        let mut gate = self.gate.lock().expect("gate");
        gate.silent = false;
        for question in std::mem::take(&mut gate.held) {
            reply(&self.device, question, 0, &statfs());
        }
    }

    /// Cuts the connection as the agent advises, through the control file system.
    pub fn abort(&self) {
        let connections = Path::new("/sys/fs/fuse/connections");
        if std::fs::read_dir(connections).expect("fuse is loaded").next().is_none() {
            let none: Option<&std::ffi::CStr> = None;
            rustix::mount::mount("none", connections, "fusectl", MountFlags::empty(), none).expect("root may");
        }
        let minor = connection(&self.place);
        std::fs::write(connections.join(minor).join("abort"), "1").expect("root may");
    }

    pub fn unmount(&self) {
        let _ = rustix::mount::unmount(&self.place, UnmountFlags::FORCE | UnmountFlags::DETACH);
    }
}

impl Drop for GatedMount {
    fn drop(&mut self) {
        self.unmount();
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        let _ = std::fs::remove_dir(&self.place);
    }
}

/// The minor device number of the mount, which names its connection.
fn connection(place: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("procfs");
    let line = mounts.lines().find(|line| line.contains(&*place.to_string_lossy())).expect("it is mounted");
    let device = line.split(' ').nth(2).expect("a device");
    device.split_once(':').expect("major:minor").1.to_owned()
}

/// Until the file system is unmounted or cut off.
fn serve(device: &File, gate: &Mutex<Gate>) {
    let mut message = vec![0; 256 * 1024];
    let mut device_in = device;
    while let Ok(length) = device_in.read(&mut message) {
        if length < 40 {
            return;
        }
        let opcode = u32::from_ne_bytes(message[4..8].try_into().expect("four bytes"));
        let question = u64::from_ne_bytes(message[8..16].try_into().expect("eight bytes"));
        let mut gate = gate.lock().expect("gate");
        match opcode {
            INIT => reply(device, question, 0, &init()),
            STATFS if gate.silent => gate.held.push(question),
            STATFS => reply(device, question, 0, &statfs()),
            other if SILENT.contains(&other) || gate.silent => {}
            _ => reply(device, question, -ENOSYS, &[]),
        }
    }
}

fn reply(mut device: &File, question: u64, error: i32, body: &[u8]) {
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend_from_slice(&(16 + body.len() as u32).to_ne_bytes());
    message.extend_from_slice(&error.to_ne_bytes());
    message.extend_from_slice(&question.to_ne_bytes());
    message.extend_from_slice(body);
    // The asker may have been killed meanwhile.
    let _ = device.write_all(&message);
}

/// `fuse_init_out`: version 7.31, no optional features, writes of 64 KiB.
fn init() -> [u8; 64] {
    let mut body = [0; 64];
    for (at, number) in [(0, 7_u32), (4, 31), (20, 65_536), (24, 1)] {
        body[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    body
}

/// `fuse_statfs_out`: blocks, free, available, files, files free; block size, name length, fragment.
fn statfs() -> [u8; 80] {
    let mut body = [0; 80];
    for (at, number) in [BLOCKS, BLOCKS / 2, BLOCKS / 4, 100, 60].into_iter().enumerate() {
        body[at * 8..at * 8 + 8].copy_from_slice(&number.to_ne_bytes());
    }
    for (at, number) in [(40, 4_096_u32), (44, 255), (48, 4_096)] {
        body[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    body
}
