//! systemd over the system bus: the only module that knows zbus.
//!
//! A connection for each command: systemd's reference to a unit, and what the bus was asked to send, go with it.

mod bus;
mod job;
mod name;
mod state;
mod transient;

pub use job::{Job, JobResult, Verb};
pub use name::UnitName;
pub use state::{MainEnd, UnitState, hint};
pub use transient::{Service, Watched};

use crate::limits::SYSTEMD_CALL;
use bus::ManagerProxy;
use std::collections::HashMap;
use std::path::Path;
use zbus::fdo::PropertiesProxy;
use zbus::names::InterfaceName;
use zbus::proxy::CacheProperties;
use zbus::{Connection, connection};
use zbus::{OwnedObjectPath, OwnedVariant};

const UNIT: InterfaceName<'_> = InterfaceName::from_static_str_unchecked("org.freedesktop.systemd1.Unit");
const SERVICE: InterfaceName<'_> = InterfaceName::from_static_str_unchecked("org.freedesktop.systemd1.Service");

/// Why systemd did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SystemdError {
    #[error("this host does not run systemd")]
    Absent,
    #[error(
        "systemd cannot be asked, the system bus does not answer: {0}; it comes with the package dbus: systemctl status dbus"
    )]
    NoBus(String),
    /// Its own words.
    #[error("{0}")]
    Refused(String),
    #[error("there is no unit {0} on this host")]
    NoSuchUnit(String),
}

/// A connection to systemd.
#[derive(Debug, Clone)]
pub struct Systemd {
    connection: Connection,
    manager: ManagerProxy<'static>,
}

impl Systemd {
    /// Whether systemd is what runs this host.
    #[must_use]
    pub fn runs_here() -> bool {
        // As sd_booted(3) says.
        Path::new("/run/systemd/system").is_dir()
    }

    /// # Errors
    /// [`SystemdError::Absent`] or [`SystemdError::NoBus`].
    pub async fn connect() -> Result<Self, SystemdError> {
        if !Self::runs_here() {
            return Err(SystemdError::Absent);
        }
        let dialled = async {
            let connection = connection::Builder::system().method_timeout(SYSTEMD_CALL).build().await?;
            let manager = ManagerProxy::new(&connection).await?;
            // Signals about jobs are sent to those only who asked for them.
            manager.subscribe().await?;
            Ok(Self { connection, manager })
        };
        match tokio::time::timeout(SYSTEMD_CALL, dialled).await {
            Ok(Ok(systemd)) => Ok(systemd),
            Ok(Err::<_, zbus::Error>(error)) => Err(SystemdError::NoBus(error.to_string())),
            Err(_) => Err(SystemdError::NoBus(format!("no answer within {} s", SYSTEMD_CALL.as_secs()))),
        }
    }

    /// What systemd knows of a unit, which it loads if it has to. A unit that is not there has a state that says so.
    ///
    /// # Errors
    /// [`SystemdError`]
    pub async fn unit(&self, name: &UnitName) -> Result<UnitState, SystemdError> {
        let path = self.manager.load_unit(name.as_str()).await.map_err(explain)?;
        self.state(&path, name).await
    }

    async fn state(&self, path: &OwnedObjectPath, name: &UnitName) -> Result<UnitState, SystemdError> {
        let mut properties = self.properties(path, UNIT).await?;
        if name.is_service() {
            properties.extend(self.properties(path, SERVICE).await?);
        }
        Ok(UnitState::of(&properties))
    }

    async fn properties(
        &self,
        path: &OwnedObjectPath,
        interface: InterfaceName<'static>,
    ) -> Result<HashMap<String, OwnedVariant>, SystemdError> {
        let proxy = PropertiesProxy::builder(&self.connection)
            .destination(bus::SERVICE)
            .path(path)
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(explain)?;
        proxy.get_all(interface).await.map_err(|error| explain(error.into()))
    }
}

fn explain(error: zbus::Error) -> SystemdError {
    match error {
        zbus::Error::MethodError(name, words, _) if name.as_str() == "org.freedesktop.systemd1.NoSuchUnit" => {
            SystemdError::NoSuchUnit(words.unwrap_or_default())
        }
        zbus::Error::MethodError(name, words, _) => SystemdError::Refused(words.unwrap_or_else(|| name.to_string())),
        error => SystemdError::NoBus(error.to_string()),
    }
}
