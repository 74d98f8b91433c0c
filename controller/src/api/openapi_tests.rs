use super::*;
use std::collections::BTreeSet;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

/// `FLEETLIGHT_WRITE_OPENAPI=1 cargo test -p fleetlight-controller openapi` writes it anew.
#[test]
fn the_description_changes_on_purpose() {
    let now = format!("{:#}\n", document());
    if std::env::var_os("FLEETLIGHT_WRITE_OPENAPI").is_some() {
        std::fs::write(FILE, &now).unwrap();
    }
    let known = std::fs::read_to_string(FILE).unwrap();
    let differs = known.lines().zip(now.lines()).find(|(known, now)| known != now);
    assert!(
        known == now,
        "docs/openapi.json is not what the handlers say, first at {differs:?}; if that is meant: \
         FLEETLIGHT_WRITE_OPENAPI=1 cargo test -p fleetlight-controller openapi"
    );
}

#[test]
fn every_route_and_every_reference_is_there() {
    let document = document();
    for route in routes() {
        let described = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert!(described["responses"]["default"].is_object(), "{} {}", route.method, route.path);
    }
    let names: Vec<_> = routes().into_iter().map(|route| route.call.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each has a name of its own: {names:?}");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[test]
fn queries_bodies_and_answers_are_those_of_the_handlers() {
    let document = document();
    let events = &document["paths"]["/hosts/{id}/events"]["get"];
    let parameters: Vec<_> =
        events["parameters"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(parameters, ["id", "before_ms", "limit"]);
    assert_eq!(events["operationId"], "events.list");
    let login = &document["paths"]["/login"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(login["required"], json!(["name", "password"]));
    let hosts = &document["paths"]["/hosts"]["get"]["responses"]["2XX"]["content"]["application/json"]["schema"];
    assert_eq!(hosts["items"]["$ref"], "#/components/schemas/Host");
    assert_eq!(document["paths"]["/hosts"]["get"]["x-permission"], "read");
}
