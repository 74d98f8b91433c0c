use super::*;

fn facts(uuid: &str, index: u32, parent: Option<&str>) -> GpuFacts {
    let name = Some("NVIDIA H200".to_owned());
    GpuFacts { uuid: uuid.into(), index, name, parent: parent.map(str::to_owned), ..GpuFacts::default() }
}

fn reading(uuid: &str, state: GpuState) -> GpuReading {
    let values = if state == GpuState::Ok { GpuSample::default().values() } else { Vec::new() };
    GpuReading { uuid: uuid.into(), state, reason: format!("{state:?}"), values, ..GpuReading::default() }
}

fn said(change: &Change) -> Vec<(String, &'static str)> {
    change.events.iter().map(|event| (event.key.clone(), event.fact.name())).collect()
}

#[test]
fn a_gpu_that_is_not_listed_any_more_is_lost_until_it_is_again() {
    let mut fleet = Fleet::default();
    let first = fleet.absorb(&[], Some(vec![facts("a", 0, None), facts("b", 1, None)]), &[], 1);
    assert_eq!((first.documents.len(), first.events.len()), (2, 0));
    assert!(fleet.absorb(&[reading("a", GpuState::Ok)], None, &[], 2).documents.iter().all(|it| it.key == "a"));

    let lost = fleet.absorb(&[], Some(vec![facts("a", 0, None)]), &[], 3);
    assert_eq!(said(&lost), [("b".to_owned(), "gpu_lost")]);
    assert_eq!(lost.events[0].subject, "GPU 1 NVIDIA H200");
    let Some(Body::Gpu(document)) = &lost.documents[0].body else { panic!("{lost:?}") };
    assert_eq!(document.state, GpuState::Lost);
    assert!(fleet.ails());
    assert_eq!(fleet.count(), 2, "a lost GPU is still this host's");

    let back =
        fleet.absorb(&[reading("b", GpuState::Ok)], Some(vec![facts("a", 0, None), facts("b", 1, None)]), &[], 4);
    assert_eq!(said(&back), [("b".to_owned(), "gpu_back")]);
    assert!(!fleet.ails());
}

#[test]
fn a_loss_is_told_once() {
    let mut fleet = Fleet::default();
    fleet.absorb(&[reading("a", GpuState::Ok)], Some(vec![facts("a", 0, None)]), &[], 1);
    assert_eq!(said(&fleet.absorb(&[reading("a", GpuState::Lost)], None, &[], 2)).len(), 1);
    let again = fleet.absorb(&[reading("a", GpuState::Lost)], None, &[], 3);
    assert!(again.events.is_empty() && again.documents.is_empty());
    assert!(said(&fleet.absorb(&[reading("a", GpuState::ResetRequired)], None, &[], 4)).is_empty());
}

#[test]
fn a_mig_instance_that_is_removed_is_gone_and_no_loss() {
    let mut fleet = Fleet::default();
    fleet.absorb(&[], Some(vec![facts("a", 0, None), facts("MIG-1", 0, Some("a"))]), &[], 1);
    assert_eq!(fleet.count(), 1);
    let change = fleet.absorb(&[], Some(vec![facts("a", 0, None)]), &[], 2);
    assert_eq!(change.documents, [document("MIG-1", 2, None)]);
    assert!(change.events.is_empty());
}

#[test]
fn supported_grows_with_what_was_answered() {
    let mut fleet = Fleet::default();
    let sample = GpuSample { power_watts: Some(0.0), ..GpuSample::default() };
    let gpu = GpuReading { uuid: "a".into(), values: sample.values(), ..GpuReading::default() };
    let change = fleet.absorb(&[gpu], Some(vec![facts("a", 0, None)]), &[], 1);
    let Some(Body::Gpu(document)) = &change.documents[0].body else { panic!("{change:?}") };
    assert_eq!(document.supported, ["power_watts"]);
    assert!(GpuSample::METRICS.len() <= 64, "a bit for each");
}

#[test]
fn a_gpu_that_cannot_be_named_is_the_drivers_trouble_unless_a_known_one_is_lost() {
    let mut fleet = Fleet::default();
    let unopened = [Unopened { index: 1, reason: "off the bus".into() }];
    fleet.absorb(&[], Some(vec![facts("a", 0, None)]), &unopened, 1);
    assert_eq!(fleet.unknown(&unopened).as_deref(), Some("GPU 1 cannot be opened: off the bus"));
    fleet.absorb(&[], Some(vec![facts("a", 0, None), facts("b", 1, None)]), &[], 2);
    let change = fleet.absorb(&[], Some(vec![facts("a", 0, None)]), &unopened, 3);
    assert_eq!(fleet.unknown(&unopened), None);
    assert_eq!(change.events[0].fact, Fact::GpuLost { reason: "off the bus".into() });
}

#[test]
fn a_lost_gpu_has_no_row() {
    let rows = rows(vec![reading("a", GpuState::Ok), reading("b", GpuState::Lost)]);
    assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["a"]);
}
