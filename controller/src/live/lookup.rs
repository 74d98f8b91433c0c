//! Finding what people name: a host or a container by name or id.

use super::Live;
use fleetlight_protocol::document::Body;
use fleetlight_protocol::samples::EntityKind;

/// A host that people know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedHost {
    pub id: i32,
    pub name: String,
}

/// A container of a host's present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedContainer {
    pub host: NamedHost,
    /// Docker's id.
    pub id: String,
    pub name: String,
}

impl Live {
    /// All hosts that have a name.
    #[must_use]
    pub fn named_hosts(&self) -> Vec<NamedHost> {
        let fleet = self.lock();
        let named = fleet.hosts.iter().filter_map(|(id, slot)| Some((*id, slot.record.name.clone()?)));
        named.map(|(id, name)| NamedHost { id, name }).collect()
    }

    /// Containers that have this name or id, on one host or on any.
    #[must_use]
    pub fn containers_named(&self, wanted: &str, host_id: Option<i32>) -> Vec<NamedContainer> {
        let fleet = self.lock();
        let mut found = Vec::new();
        for (id, slot) in fleet.hosts.iter().filter(|(id, _)| host_id.is_none_or(|wanted| wanted == **id)) {
            let Some(host) = &slot.record.name else { continue };
            for (key, document) in slot.record.data.documents.of(EntityKind::Container) {
                if let Some(Body::Container(body)) = &document.body
                    && (body.name == wanted || key == wanted)
                {
                    let host = NamedHost { id: *id, name: host.clone() };
                    found.push(NamedContainer { host, id: key.to_owned(), name: body.name.clone() });
                }
            }
        }
        found
    }
}
