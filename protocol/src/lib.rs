//! The words that agents and the controller exchange, and their bytes.
//!
//! Pure: no I/O, no clock, no runtime. Everything here is a value, a bound or a codec, so that it
//! can be fuzzed, property-tested and pinned byte for byte.
//!
//! - [`control`]: the control stream (hello, welcome, acks, renewal) and enrolment.
//! - [`uplink`]: what an agent streams: samples, events, inventory.
//! - [`errand`]: what a controller asks of a host: [`command`]s, [`logs`] as they are read, what is [`allowed`].
//! - [`metric`] and [`samples`]: the metric catalogue, stated once.
//! - [`delta`]: the stateful sample codec of one stream.
//! - [`frame`]: length-bounded, optionally compressed MessagePack frames.
//! - [`event`], [`document`]: facts at a time, and documents that change seldom.
//! - [`intervals`]: sets of sequence numbers.
//! - [`join_token`]: the text that enrols a host.
//! - [`limits`]: every bound on the wire, with its reason.

pub mod allowed;
pub mod command;
pub mod control;
pub mod delta;
pub mod document;
pub mod errand;
pub mod event;
pub mod form;
pub mod frame;
pub mod intervals;
pub mod join_token;
pub mod limits;
pub mod logs;
pub mod metric;
mod model;
mod range;
pub mod samples;
mod untagged;
pub mod uplink;

pub use untagged::untagged;

/// ALPN protocol of a session.
pub const ALPN_SESSION: &[u8] = b"fleetlight/1";
/// ALPN protocol of the enrolment listener.
pub const ALPN_ENROL: &[u8] = b"fleetlight-enrol/1";

/// The name in the controller's certificate, whatever address it is reached by: agents trust its
/// CA, not its address.
pub const SERVER_NAME: &str = "controller.fleetlight";

/// Session protocol versions that this build speaks, newest first.
///
/// | version | reason |
/// |---|---|
/// | 1 | the first |
/// | 2 | history goes against credit: the agent says how much there is, the controller how much may come; facts of the past come as replay |
/// | 3 | the controller opens bi streams: commands and logs |
/// | 4 | the controller may ask what the host allows |
pub const VERSIONS: &[u16] = &[4, 3, 2, 1];

/// The first version in which history goes against credit.
pub const HISTORY_BY_CREDIT: u16 = 2;

/// The first version in which the controller opens streams, each for an [`errand::Errand`].
pub const ERRANDS: u16 = 3;

/// The first version in which an agent knows [`errand::Errand::Allowed`].
pub const TELLS_ALLOWED: u16 = 4;
