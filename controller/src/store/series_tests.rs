use super::*;

#[test]
fn only_names_of_the_catalogue_become_sql() {
    let known = |names: &[&str]| {
        known_metrics(EntityKind::Gpu, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(known(&["power_watts", "power_watts"]).expect("known"), ["power_watts"]);
    let refused = known(&["power_watts; drop table hosts"]).expect_err("unknown");
    assert!(refused.to_string().contains("catalogue"), "{refused}");
    assert!(known(&[]).is_err());
}

#[test]
fn ranges_are_of_this_world() {
    assert!(check_range(0, 1).is_ok());
    assert!(check_range(1, 0).is_err());
    assert!(check_range(0, i64::MAX).is_err());
    assert!(check_range(i64::MIN, 0).is_err());
}
