//! Tables against the catalogue, partitions, and a migration by two controllers at once.

use crate::{Agent, Fixture, NOW_MS};
use fleetlight_controller::store::users::Role;
use fleetlight_controller::store::{Store, tables};
use fleetlight_tests::postgres::database;
use fleetlight_tests::sim_agent::Folder;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use std::collections::BTreeMap;

#[tokio::test]
async fn columns_are_those_of_the_catalogue() {
    let fixture = Fixture::new().await;
    for table in tables::all() {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "select attname::text, format_type(atttypid, null) from pg_attribute
             where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
        )
        .bind(&table.name)
        .fetch_all(&fixture.pool)
        .await
        .expect("columns");
        let found: BTreeMap<String, String> = columns.into_iter().collect();
        let mut expected: BTreeMap<String, String> = table
            .metrics()
            .iter()
            .map(|metric| (metric.name.to_owned(), tables::type_name(metric.column).to_owned()))
            .collect();
        for (name, kind) in [("ts", "timestamp with time zone"), ("host_id", "integer"), ("entity_id", "integer")] {
            expected.insert(name.into(), kind.into());
        }
        let missing: Vec<String> = expected
            .iter()
            .filter(|(name, _)| !found.contains_key(*name))
            .map(|(name, kind)| format!("alter table {} add column {name} {kind};", table.name))
            .collect();
        let derive = format!("call derive_tiers('{0}'); call derive_fleet('{0}');", table.kind.name());
        assert!(missing.is_empty(), "a new metric needs a migration:\n{}\n{derive}", missing.join("\n"));
        assert_eq!(found, expected, "{}", table.name);
    }
}

#[tokio::test]
async fn all_tiers_follow_the_catalogue() {
    let fixture = Fixture::new().await;
    for table in tables::all() {
        let noun = table.kind.name();
        let mut expected = Vec::new();
        for metric in table.metrics() {
            let (name, column) = (metric.name, tables::type_name(metric.column));
            expected.push((format!("{noun}_late"), name.to_owned(), column.to_owned()));
            expected.push((format!("{noun}_packed"), name.to_owned(), format!("{column}[]")));
            for end in ["avg", "min", "max"] {
                expected.push((format!("{noun}_minute"), format!("{name}_{end}"), "real[]".to_owned()));
                expected.push((format!("{noun}_quarter"), format!("{name}_{end}"), "real".to_owned()));
            }
            for end in ["covered_s", "avg", "min", "max"] {
                expected.push((format!("{noun}_fleet"), format!("{name}_{end}"), "real".to_owned()));
            }
            expected.push((format!("{noun}_samples"), name.to_owned(), column.to_owned()));
        }
        let found: Vec<(String, String, String)> = sqlx::query_as(
            "select relname::text, attname::text, format_type(atttypid, null)
             from pg_attribute join pg_class on pg_class.oid = attrelid
             where relname = any($1) and attnum > 0 and not attisdropped",
        )
        .bind(["late", "packed", "minute", "quarter", "fleet", "samples"].map(|tier| format!("{noun}_{tier}")).to_vec())
        .fetch_all(&fixture.pool)
        .await
        .expect("columns");
        for column in expected {
            let calls = format!("call derive_tiers('{noun}'), derive_fleet('{noun}') in a migration");
            assert!(found.contains(&column), "{column:?} is missing: {calls}");
        }
    }
}

/// 0042 on what was there before it: accounts, sessions and links go on.
#[tokio::test]
async fn people_from_before_there_were_roles_go_on() {
    let url = database().await.expect("a database");
    let all = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let folder = Folder::new().expect("a folder");
    for file in std::fs::read_dir(all).expect("a folder") {
        let file = file.expect("a file");
        if file.file_name().to_str().expect("text") < "0042" {
            std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("copied");
        }
    }
    let pool = PgPool::connect(&url).await.expect("connects");
    let older = Migrator::new(folder.path()).await.expect("migrations");
    older.run(&pool).await.expect("migrates");
    let before = "update users set password_hash = 'a hash' where name = 'admin';
        insert into setup_tokens (user_id, hash) select id, decode(repeat('07', 32), 'hex') from users;
        insert into web_sessions (hash, user_id, created_at, used_at, expires_at, address)
        select decode(repeat('08', 32), 'hex'), id, now(), now(), now() + interval '1 h', '::1' from users";
    sqlx::raw_sql(before).execute(&pool).await.expect("rows of before");
    let store = Store::connect(&url).await.expect("migrates the rest");
    let admin = store.user("admin").await.expect("read").expect("there");
    assert_eq!((admin.role, admin.active, admin.must_change_password), (Role::Admin, true, false));
    assert_eq!(admin.password_hash.as_deref(), Some("a hash"));
    let session = store.web_session([8; 32], 0, 0).await.expect("read").expect("goes on");
    assert_eq!(
        (session.user_id, session.role, session.authenticated_ms),
        (admin.id, Role::Admin, 0),
        "and is not fresh"
    );
    let listed = store.web_sessions(admin.id, 0, 0).await.expect("read");
    assert_eq!((listed.len(), listed[0].hash), (1, [8; 32]));
    assert_eq!(store.end_web_session_of(listed[0].id, Some(admin.id)).await.expect("ended"), Some([8; 32]));
    let far_ms = NOW_MS * 2;
    assert_eq!(store.user_of_link([7; 32], far_ms).await.expect("read").map(|user| user.id), Some(admin.id));
}

#[tokio::test]
async fn two_controllers_may_migrate_at_once() {
    let url = database().await.expect("a database");
    let (one, other) = tokio::join!(Store::connect(&url), Store::connect(&url));
    let (one, other) = (one.expect("migrates"), other.expect("finds it migrated"));
    let (first, second) = tokio::join!(one.upkeep(NOW_MS), other.upkeep(NOW_MS));
    first.and(second).expect("both make the same partitions");
}

#[tokio::test]
async fn partitions_are_made_ahead_and_on_demand() {
    let fixture = Fixture::new().await;
    let host = fixture.host("alpha").await;
    let names = "pg_class where relname like 'gpu\\_hot\\_20%' and relkind = 'r'";
    fixture.store.upkeep(NOW_MS).await.expect("upkeep");
    assert_eq!(fixture.count(names).await, 4, "this hour and three more");
    for part in ["gpu_packed_2025112100", "gpu_minute_2025112000", "gpu_quarter_2025110800"] {
        assert_eq!(fixture.count(&format!("pg_class where relname = '{part}'")).await, 1, "{part}");
    }

    // Older data makes its own hour, as long as that is not closed.
    let agent = Agent::new(host);
    fixture.flush(&[agent.tick(1, NOW_MS - 47 * 3_600_000)]).await;
    assert_eq!(fixture.count(names).await, 5);
    assert_eq!(fixture.count("gpu_hot_2025111910").await, 1);
}

#[tokio::test]
async fn a_partition_that_somebody_dropped_comes_back() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    fixture.flush(&[agent.tick(1, NOW_MS)]).await;
    sqlx::raw_sql("drop table gpu_hot_2025112109").execute(&fixture.pool).await.expect("dropped");
    fixture.store.flush(&[agent.tick(2, NOW_MS)], NOW_MS).await.expect_err("no partition for it");
    fixture.store.flush(&[agent.tick(2, NOW_MS)], NOW_MS).await.expect("made again");
    assert_eq!(fixture.count("gpu_hot").await, 1);
}

#[tokio::test]
async fn what_two_keys_of_a_host_brought_of_one_run_becomes_one_sequence() {
    let fixture = Fixture::new().await;
    let (host, epochs) = (fixture.host("alpha").await, [1, 2].map(uuid::Uuid::from_u128));
    let before = "alter table ledger drop constraint ledger_pkey;
        alter table ledger add column agent_id uuid not null, add primary key (host_id, agent_id, epoch)";
    sqlx::raw_sql(before).execute(&fixture.pool).await.expect("as it was");
    let rows = [(1, epochs[0], "{[1,5)}"), (2, epochs[0], "{[1,3),[8,9)}"), (2, epochs[1], "{}")];
    for (agent, epoch, seqs) in rows {
        sqlx::query(
            "insert into ledger (host_id, agent_id, epoch, seqs, first_at, updated_at)
             values ($1, $2, $3, $4::int8multirange, now(), now())",
        )
        .bind(host)
        .bind(uuid::Uuid::from_u128(agent))
        .bind(epoch)
        .bind(seqs)
        .execute(&fixture.pool)
        .await
        .expect("written");
    }
    let migration = include_str!("../../../migrations/0031_ledger_of_hosts.sql");
    sqlx::raw_sql(migration).execute(&fixture.pool).await.expect("migrates");
    let mut stored = fixture.store.stored(host, &epochs).await.expect("asked");
    stored.sort_by_key(|(epoch, _)| *epoch);
    assert_eq!([stored[0].1.intervals(), stored[1].1.intervals()], [&[(1, 4), (8, 8)][..], &[]]);
    assert_eq!(fixture.count("ledger").await, 2);
}
