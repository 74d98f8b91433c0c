//! NVLink: how many links there are and are up, and their errors.

use super::calls::{Calls, Trouble};
use crate::limits::NVLINKS;
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;

const COUNTERS: [ErrorCounter; 4] =
    [ErrorCounter::DlReplay, ErrorCounter::DlRecovery, ErrorCounter::DlCrcFlit, ErrorCounter::DlCrcData];

/// All links of one GPU; absent on a card without links.
#[derive(Debug, Clone, Copy, Default)]
pub struct NvLinks {
    pub links: Option<u32>,
    pub active: Option<u32>,
    pub errors: Option<u64>,
}

/// Asks every link.
pub fn read(device: &Device<'_>, calls: &mut Calls) -> Result<NvLinks, Trouble> {
    let mut all = NvLinks::default();
    for number in 0..NVLINKS {
        let link = device.link_wrapper_for(number);
        let Some(active) = calls.ask("nvmlDeviceGetNvLinkState", number, || link.is_active())? else { continue };
        *all.links.get_or_insert(0) += 1;
        *all.active.get_or_insert(0) += u32::from(active);
        for (part, counter) in (number * 4..).zip(COUNTERS) {
            if let Some(errors) = calls.ask("nvmlDeviceGetNvLinkErrorCounter", part, || link.error_counter(counter))? {
                *all.errors.get_or_insert(0) += errors;
            }
        }
    }
    Ok(all)
}
