//! From names to sources of hosts, by the live view.

use super::wish::{Kind, Named};
use crate::api::ApiError;
use crate::live::Live;
use crate::live::lookup::NamedHost;
use fleetlight_protocol::logs::LogSource;

/// A source of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub host: NamedHost,
    pub kind: Kind,
    pub name: String,
    pub source: LogSource,
}

/// Hosts or containers listed in a refusal; further ones are not.
const CANDIDATES: usize = 10;

impl Place {
    /// # Errors
    /// 404: there is none. 409: there are several; with all of them.
    pub fn find(live: &Live, named: &Named) -> Result<Self, ApiError> {
        let Named { kind, name, .. } = named;
        let host = named.host.as_deref().map(|wanted| host(live, wanted)).transpose()?;
        match kind {
            Kind::Container => container(live, host, name),
            Kind::Unit => only(live, host, named).map(|host| {
                let source = LogSource::Unit { name: name.clone() };
                Self { host, kind: *kind, name: name.clone(), source }
            }),
            Kind::File => only(live, host, named).map(|host| {
                let source = LogSource::File { name: name.clone() };
                Self { host, kind: *kind, name: name.clone(), source }
            }),
        }
    }
}

fn host(live: &Live, wanted: &str) -> Result<NamedHost, ApiError> {
    let id = wanted.parse::<i32>().ok();
    let mut hosts = live.named_hosts().into_iter().filter(|host| Some(host.id) == id || host.name == wanted);
    hosts.next().ok_or_else(|| ApiError::not_found(format!("there is no host {wanted}")))
}

fn container(live: &Live, host: Option<NamedHost>, name: &str) -> Result<Place, ApiError> {
    let mut found = live.containers_named(name, host.as_ref().map(|host| host.id));
    if found.len() > 1 {
        let choices = found.iter().map(|one| format!("{}/{name} ({})", one.host.id, one.host.name));
        let words = format!("there are {} containers {name}; name the host as well: {}", found.len(), list(choices));
        return Err(ApiError::conflict(words));
    }
    let Some(found) = found.pop() else {
        let place = host.map_or_else(String::new, |host| format!(" on {}", host.name));
        return Err(ApiError::not_found(format!("there is no container {name}{place}")));
    };
    let source = LogSource::Container { id: found.id };
    Ok(Place { host: found.host, kind: Kind::Container, name: found.name, source })
}

/// The named host, or the only one that there is.
fn only(live: &Live, host: Option<NamedHost>, named: &Named) -> Result<NamedHost, ApiError> {
    if let Some(host) = host {
        return Ok(host);
    }
    let mut hosts = live.named_hosts();
    if hosts.len() > 1 {
        let Named { kind, name, .. } = named;
        let choices = hosts.iter().map(|host| format!("{}/{name} ({})", host.id, host.name));
        let words = format!("of which host is the {} {name}? name it as well: {}", kind.name(), list(choices));
        return Err(ApiError::conflict(words));
    }
    hosts.pop().ok_or_else(|| ApiError::not_found("there is no host yet"))
}

fn list(choices: impl Iterator<Item = String>) -> String {
    choices.take(CANDIDATES).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::KnownHost;
    use fleetlight_protocol::document::{Body, ContainerDocument, Document};
    use fleetlight_protocol::samples::EntityKind;

    fn known(id: i32, name: &str, containers: &[(&str, &str)]) -> KnownHost {
        let document = |(id, name): &(&str, &str)| {
            let body = ContainerDocument { id: (*id).into(), name: (*name).into(), ..ContainerDocument::default() };
            let body = Some(Body::Container(Box::new(body)));
            Document { kind: EntityKind::Container, key: (*id).into(), observed_ms: 1, body }
        };
        KnownHost {
            id,
            name: name.into(),
            documents: containers.iter().map(document).collect(),
            ..KnownHost::default()
        }
    }

    fn find(live: &Live, kind: Kind, host: Option<&str>, name: &str) -> Result<(i32, LogSource), ApiError> {
        let named = Named { kind, host: host.map(str::to_owned), name: name.into() };
        Place::find(live, &named).map(|place| (place.host.id, place.source))
    }

    #[test]
    fn names_lead_to_hosts() {
        let live = Live::default();
        assert_eq!(find(&live, Kind::Unit, None, "a.service").unwrap_err().status, 404);
        live.restore(known(1, "alpha", &[("c1", "web"), ("c2", "db")]));
        let unit = LogSource::Unit { name: "a.service".into() };
        assert_eq!(find(&live, Kind::Unit, None, "a.service").unwrap(), (1, unit.clone()), "there is one host only");
        live.restore(known(2, "beta", &[("c3", "web")]));
        let container = |id: &str| LogSource::Container { id: id.into() };
        assert_eq!(find(&live, Kind::Container, None, "db").unwrap(), (1, container("c2")));
        assert_eq!(find(&live, Kind::Container, None, "c3").unwrap(), (2, container("c3")), "by its id");
        assert_eq!(find(&live, Kind::Container, Some("beta"), "web").unwrap(), (2, container("c3")));
        assert_eq!(find(&live, Kind::Container, Some("1"), "web").unwrap(), (1, container("c1")));
        let several = find(&live, Kind::Container, None, "web").unwrap_err();
        assert_eq!(several.status, 409);
        assert!(several.detail.contains("1/web (alpha), 2/web (beta)"), "{}", several.detail);
        assert_eq!(find(&live, Kind::Unit, None, "a.service").unwrap_err().status, 409);
        assert_eq!(find(&live, Kind::Unit, Some("2"), "a.service").unwrap(), (2, unit));
        for (host, name, words) in [
            (None, "cache", "no container cache"),
            (Some("gamma"), "web", "no host gamma"),
            (Some("2"), "db", "on beta"),
        ] {
            let refused = find(&live, Kind::Container, host, name).unwrap_err();
            assert_eq!((refused.status.as_u16(), refused.detail.contains(words)), (404, true), "{}", refused.detail);
        }
    }
}
