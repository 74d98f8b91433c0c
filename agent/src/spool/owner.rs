//! Whose batches the folder holds: the name under which this host is enrolled.
//!
//! A disk image that is copied brings the first machine's spool along. Once the copy is enrolled as a host of its
//! own, what the first one measured must not be sent as the copy's. A host that is enrolled again under its own
//! name keeps its batches: the controller's ledger knows them by host and epoch, whichever key they come with.

use super::disk::Disk;
use super::format::{parse_record, record};
use crate::limits::SPOOL_RECORD_BYTES;
use std::io;

/// Its file.
const OWNER: &str = "host";
const FRESH: &str = "host.new";

/// Whom the folder belongs to; none if that is not noted, or the note is damaged.
pub(super) fn read(disk: &dyn Disk) -> io::Result<Option<String>> {
    let bytes = match disk.read(OWNER, 0, SPOOL_RECORD_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    Ok(parse_record(&bytes).and_then(|(_, host)| String::from_utf8(host.to_vec()).ok()))
}

/// Notes it, so that it survives a power cut.
pub(super) fn note(disk: &dyn Disk, host: &str) -> io::Result<()> {
    let _ = disk.remove(FRESH);
    let file = disk.create(FRESH)?;
    file.append(&record(0, host.as_bytes()))?;
    file.sync()?;
    disk.rename(FRESH, OWNER)?;
    disk.sync_names()
}
