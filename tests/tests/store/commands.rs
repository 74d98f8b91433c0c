//! Commands and the audit log: one transaction each, closed by the hosts' own word, never changed afterwards.

use crate::{Agent, Fixture, NOW_MS};
use fleetlight_controller::limits::BY_HAND_AUDITED;
use fleetlight_controller::store::audit::{Act, AuditFilter, AuditRecord, Who};
use fleetlight_controller::store::bulks::{NewBulk, NewItem, Step};
use fleetlight_controller::store::commands::{CommandRecord, NewCommand, State};
use fleetlight_controller::store::flush::Data;
use fleetlight_controller::store::users::{NewUser, Role, UserChange};
use fleetlight_protocol::command::{Action, CommandResult, Outcome, Output};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::EntityKind;
use serde_json::{Value, json};
use uuid::Uuid;

const DAY_MS: i64 = 24 * 3_600_000;

fn who() -> Who {
    Who {
        user_id: Some(1),
        name: "admin".into(),
        role: "admin".into(),
        authenticated: "session".into(),
        address: "192.0.2.1".into(),
        request_id: "r1".into(),
    }
}

fn command(host_id: i32, sent: bool) -> NewCommand {
    let (asked_ms, deadline_ms) = (NOW_MS, NOW_MS + 60_000);
    NewCommand { id: Uuid::now_v7(), host_id, action: Action::Check, asked_ms, deadline_ms, sent, bulk_id: None }
}

fn result(command: Uuid, outcome: Outcome) -> CommandResult {
    CommandResult {
        command,
        outcome,
        asked: "the executor answers".into(),
        observed: "it answers\0".into(),
        reason: None,
        began_ms: Some(i64::MIN),
        ended_ms: i64::MAX,
        exit_code: Some(0),
        output: Output { head: "printed".into(), tail: String::new(), dropped_bytes: u64::MAX },
    }
}

fn word(result: CommandResult) -> Event {
    Event {
        id: result.command,
        at_ms: NOW_MS,
        kind: EntityKind::Host,
        key: String::new(),
        subject: "check".into(),
        severity: Severity::Info,
        fact: Fact::CommandFinished(Box::new(result)),
    }
}

impl Fixture {
    async fn asked(&self, host_id: i32, sent: bool) -> Uuid {
        let command = command(host_id, sent);
        self.store.ask(&command, &who()).await.expect("asked");
        command.id
    }

    async fn command(&self, id: Uuid) -> CommandRecord {
        self.store.command(id).await.expect("read").expect("stored")
    }

    async fn outcome(&self, id: Uuid) -> Option<(String, bool)> {
        self.command(id).await.end.map(|end| (end.outcome, end.late))
    }

    async fn audit(&self) -> Vec<AuditRecord> {
        self.store.audit(&AuditFilter::default(), 100).await.expect("read")
    }

    /// The host's agent says what became of a command.
    async fn says(&self, agent: &Agent, seq: u64, result: CommandResult) {
        self.flush(&[agent.batch(seq, Data::Events(vec![word(result)]))]).await;
    }
}

#[tokio::test]
async fn a_command_and_its_audit_row_are_closed_with_the_event_once() {
    let fixture = Fixture::new().await;
    let host = fixture.host("alpha").await;
    let (agent, other) = (Agent::new(host), Agent::new(fixture.host("beta").await));
    let id = fixture.asked(host, true).await;
    let open = fixture.audit().await;
    assert_eq!((open[0].outcome.as_str(), open[0].action.as_str(), open[0].command_id), ("open", "check", Some(id)));
    assert_eq!((open[0].host.as_deref(), open[0].detail.clone()), (Some("alpha"), json!("check")));

    fixture.says(&other, 1, result(id, Outcome::Failed)).await;
    assert_eq!(fixture.command(id).await.state, State::Sent, "another host's word changes nothing");
    fixture.says(&agent, 1, result(Uuid::now_v7(), Outcome::Verified)).await;
    fixture.says(&agent, 2, result(id, Outcome::Verified)).await;
    fixture.says(&agent, 3, result(id, Outcome::Failed)).await;
    let end = fixture.command(id).await.end.expect("closed");
    assert_eq!((end.outcome.as_str(), end.late, end.head.as_str()), ("verified", false, "printed"));
    assert_eq!((end.began_ms, end.dropped_bytes), (Some(i64::MIN), i64::MAX));
    assert_eq!(end.observed.as_deref(), Some("it answers\u{fffd}"));
    let closed = fixture.audit().await;
    assert_eq!((closed.len(), closed[0].outcome.as_str(), closed[0].closed_ms), (1, "verified", Some(NOW_MS)));
    assert_eq!(fixture.count("audit_closings").await, 1);
    let event = &fixture.store.events(Some(host), None, 10).await.expect("read")[0];
    assert_eq!(event.fact, "command_finished");
    assert!(!event.detail.to_string().contains("printed"), "what it printed is kept once");
}

#[tokio::test]
async fn a_stop_by_hand_is_in_the_audit_log_once() {
    let fixture = Fixture::new().await;
    let host = fixture.host("alpha").await;
    let agent = Agent::new(host);
    let stop = |id| Event { subject: "users".into(), ..word(result(id, Outcome::Verified)) };
    let id = Uuid::new_v4();
    fixture.flush(&[agent.batch(1, Data::Events(vec![stop(id)]))]).await;
    fixture.flush(&[agent.batch(2, Data::Events(vec![stop(id), stop(Uuid::now_v7())]))]).await;
    let rows = fixture.audit().await;
    let row = &rows[0];
    assert_eq!((rows.len(), row.user.as_str(), row.authenticated.as_str()), (1, "host alpha", "by hand"));
    assert_eq!((row.action.as_str(), row.subject.as_str(), row.host_id), ("emergency_stop", "users", Some(host)));
    assert_eq!((row.outcome.as_str(), row.closed_ms, row.command_id), ("verified", Some(NOW_MS), Some(id)));
    assert_eq!(row.result.as_ref().expect("closed")["observed"], "it answers\u{fffd}");
    let many = (0..BY_HAND_AUDITED + 5).map(|_| stop(Uuid::new_v4())).collect();
    fixture.flush(&[agent.batch(3, Data::Events(many))]).await;
    assert_eq!(fixture.audit().await.len() as i64, BY_HAND_AUDITED, "a host that says no end of them fills no log");
}

#[tokio::test]
async fn only_what_no_stream_carried_is_closed_without_its_host() {
    let fixture = Fixture::new().await;
    let host = fixture.host("alpha").await;
    let (queued, sent) = (fixture.asked(host, false).await, fixture.asked(host, true).await);
    assert_eq!(fixture.store.expire_commands(NOW_MS + 60_000).await.expect("looked"), Vec::<Uuid>::new());
    assert_eq!(fixture.store.expire_commands(NOW_MS + 60_001).await.expect("looked"), [queued]);
    assert_eq!(fixture.outcome(queued).await, Some(("expired".into(), false)));
    for id in [queued, sent] {
        fixture.store.cancel_command(id, NOW_MS).await.expect("asked");
    }
    assert_eq!(fixture.outcome(queued).await, Some(("expired".into(), false)), "it had ended");
    let waiting = fixture.command(sent).await;
    assert_eq!((waiting.state, waiting.cancel_requested), (State::Sent, true));

    let second = fixture.asked(host, false).await;
    assert_eq!(fixture.store.send_commands(&[second, sent, queued]).await.expect("noted"), [second]);
    fixture.store.queue_command(second).await.expect("noted");
    fixture.store.cancel_command(second, NOW_MS).await.expect("cancelled");
    assert_eq!(fixture.outcome(second).await, Some(("cancelled".into(), false)));
    let open: Vec<Uuid> = fixture.store.open_commands().await.expect("read").iter().map(|open| open.id).collect();
    assert_eq!(open, [sent]);
}

#[tokio::test]
async fn what_can_never_end_is_swept_and_its_hosts_word_is_late_then() {
    let fixture = Fixture::new().await;
    let host = fixture.host("alpha").await;
    let agent = Agent::new(host);
    sqlx::query("insert into agents (id, host_id, machine, created_at) values ($1, $2, 'm', now())")
        .bind(agent.agent_id)
        .bind(host)
        .execute(&fixture.pool)
        .await
        .expect("an agent");
    let id = fixture.asked(host, true).await;
    assert_eq!(fixture.store.sweep_commands(NOW_MS + 30 * DAY_MS).await.expect("swept"), Vec::<Uuid>::new());
    let orphan = fixture.asked(fixture.host("beta").await, true).await;
    assert_eq!(fixture.store.sweep_commands(NOW_MS + 30 * DAY_MS).await.expect("swept"), [orphan], "it has no agent");
    assert_eq!(fixture.store.sweep_commands(NOW_MS + 30 * DAY_MS + 1).await.expect("swept"), [id]);
    assert_eq!(fixture.outcome(id).await, Some(("unknown".into(), false)));
    fixture.says(&agent, 1, result(id, Outcome::Verified)).await;
    assert_eq!(fixture.outcome(id).await, Some(("verified".into(), true)));
    let audit = fixture.audit().await;
    let late = audit.iter().find(|record| record.command_id == Some(id)).expect("a row");
    assert_eq!((late.outcome.as_str(), late.late), ("verified", true));
    assert_eq!(fixture.count("audit_closings").await, 3, "what was said before stays");
}

#[tokio::test]
async fn what_somebody_who_is_disabled_has_asked_for_goes_no_further() {
    let fixture = Fixture::new().await;
    let host = fixture.host("alpha").await;
    let bo = NewUser { name: "bo", role: Role::Admin, password_hash: None, must_change_password: false };
    let bo = fixture.store.create_user(bo).await.expect("made").expect("a new name").id;
    let who = Who { user_id: Some(bo), ..who() };
    let asked = [command(host, false), command(host, true)];
    for command in &asked {
        fixture.store.ask(command, &who).await.expect("asked");
    }
    let others = fixture.asked(host, false).await;
    let items = (0..2).map(|batch| NewItem { batch, host_id: host, action: Action::Check }).collect();
    let bulk = NewBulk {
        id: Uuid::now_v7(),
        name: "container.restart".into(),
        selection: json!({}),
        batch_size: 1,
        stop_on_failure: false,
        deadline_seconds: 60,
        asked_ms: NOW_MS,
        items,
    };
    fixture.store.make_bulk(&bulk, &who).await.expect("made");
    let Step::Asked(first) = fixture.store.step_bulk(bulk.id, NOW_MS).await.expect("stepped") else {
        panic!("the first batch begins")
    };
    let disable = UserChange { active: Some(false), ..UserChange::default() };
    fixture.store.change_user(bo, &disable, NOW_MS).await.expect("disabled");
    let outcomes = [asked[0].id, asked[1].id, first[0], others];
    let outcomes = [
        fixture.outcome(outcomes[0]).await,
        fixture.outcome(outcomes[1]).await,
        fixture.outcome(outcomes[2]).await,
        fixture.outcome(outcomes[3]).await,
    ];
    let cancelled = || Some(("cancelled".to_owned(), false));
    assert_eq!(outcomes, [cancelled(), None, cancelled(), None], "what no host has seen is taken back");
    assert_eq!(fixture.store.step_bulk(bulk.id, NOW_MS).await.expect("stepped"), Step::Ended);
    let (ended, _) = fixture.store.bulk(bulk.id).await.expect("read").expect("stored");
    assert_eq!((ended.state.as_str(), ended.ended), ("stopped", 1));
    assert!(ended.reason.expect("words").contains("disabled"));
}

#[tokio::test]
async fn the_audit_log_is_only_ever_added_to() {
    let fixture = Fixture::new().await;
    let act =
        Act { action: "join_token.make".into(), host_id: None, subject: "=1+1".into(), detail: json!({"a": "\0"}) };
    let id = fixture.store.begin_audit(&who(), &act, NOW_MS).await.expect("written");
    fixture.store.note_audit(&who(), &act, "refused", NOW_MS + 1).await.expect("written");
    // The superuser that owns a private Postgres, and an owner without that right: neither may.
    let plain = format!("plain_{}", Uuid::new_v4().simple());
    let make =
        format!("create role {plain}; alter table audit owner to {plain}; alter table audit_closings owner to {plain}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&fixture.pool).await.expect("a role");
    for role in ["none", plain.as_str()] {
        for table in ["audit", "audit_closings"] {
            for sql in
                [format!("update {table} set at = now()"), format!("delete from {table}"), format!("truncate {table}")]
            {
                let mut connection = fixture.pool.acquire().await.expect("connects");
                sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set role {role}")))
                    .execute(&mut *connection)
                    .await
                    .expect("set");
                let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *connection).await;
                let error = refused.expect_err(&sql);
                let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
                assert_eq!(code.as_deref(), Some("42501"), "{role}: {sql}: {error}");
                sqlx::raw_sql("reset role").execute(&mut *connection).await.expect("reset");
            }
        }
    }
    let unmake = format!("reassign owned by {plain} to current_user; drop owned by {plain}; drop role {plain}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(unmake)).execute(&fixture.pool).await.expect("gone");
    fixture.store.close_audit(id, "done", json!({}), NOW_MS + 2).await.expect("closed");
    let all = fixture.audit().await;
    assert_eq!(all.iter().map(|record| record.outcome.as_str()).collect::<Vec<_>>(), ["refused", "done"]);
    assert_eq!(all[1].detail, json!({"a": "\u{fffd}"}));
}

#[tokio::test]
async fn acts_are_found_by_who_what_where_how_and_when() {
    let fixture = Fixture::new().await;
    let host = fixture.host("alpha").await;
    let id = fixture.asked(host, true).await;
    let act = Act { action: "login".into(), host_id: None, subject: String::new(), detail: Value::Null };
    let bob = Who { name: "bob".into(), user_id: None, ..who() };
    fixture.store.note_audit(&bob, &act, "refused", NOW_MS + 5).await.expect("written");
    let left_open = fixture
        .store
        .begin_audit(&bob, &Act { action: "token.make".into(), ..act }, NOW_MS + 10)
        .await
        .expect("written");
    let found = async |filter: AuditFilter| -> Vec<String> {
        let found = fixture.store.audit(&filter, 10).await.expect("read");
        found.into_iter().map(|record| record.action).collect()
    };
    let any = AuditFilter::default;
    assert_eq!(found(any()).await, ["token.make", "login", "check"]);
    assert_eq!(found(AuditFilter { user: Some("bob".into()), ..any() }).await, ["token.make", "login"]);
    assert_eq!(found(AuditFilter { action: Some("token".into()), ..any() }).await, ["token.make"]);
    assert_eq!(found(AuditFilter { action: Some("token.make".into()), ..any() }).await, ["token.make"]);
    assert_eq!(found(AuditFilter { host_id: Some(host), ..any() }).await, ["check"]);
    assert_eq!(found(AuditFilter { outcome: Some("open".into()), ..any() }).await, ["token.make", "check"]);
    assert_eq!(found(AuditFilter { from_ms: Some(NOW_MS + 5), to_ms: Some(NOW_MS + 10), ..any() }).await, ["login"]);
    assert_eq!(found(AuditFilter { before: Some(left_open), ..any() }).await, ["login", "check"]);
    assert_eq!(fixture.store.sweep_audit(NOW_MS + 600_000).await.expect("swept"), 0, "acts take their time");
    assert_eq!(fixture.store.sweep_audit(NOW_MS + 600_011).await.expect("swept"), 1, "commands are closed by theirs");
    assert_eq!(found(AuditFilter { outcome: Some("unknown".into()), ..any() }).await, ["token.make"]);
    // The controller stops in the middle of an act, and is away for longer than it looks back.
    let act = Act { action: "token.make".into(), host_id: None, subject: String::new(), detail: json!({}) };
    fixture.store.begin_audit(&who(), &act, NOW_MS + 20).await.expect("written");
    assert_eq!(fixture.store.sweep_audit(NOW_MS + 40 * DAY_MS).await.expect("swept"), 1);
    assert_eq!(fixture.command(id).await.state, State::Sent);
}

fn bulk(host_id: i32, batches: &[i32], stop_on_failure: bool) -> NewBulk {
    let items = batches.iter().map(|batch| NewItem { batch: *batch, host_id, action: Action::Check }).collect();
    NewBulk {
        id: Uuid::now_v7(),
        name: "container.restart".into(),
        selection: json!({"pattern": "*"}),
        batch_size: 2,
        stop_on_failure,
        deadline_seconds: 60,
        asked_ms: NOW_MS,
        items,
    }
}

#[tokio::test]
async fn a_bulk_goes_batch_by_batch_and_stops_at_what_is_not_verified() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    for stop_on_failure in [true, false] {
        let wish = bulk(agent.host_id, &[0, 0, 1, 2], stop_on_failure);
        fixture.store.make_bulk(&wish, &who()).await.expect("made");
        let step = async || fixture.store.step_bulk(wish.id, NOW_MS).await.expect("stepped");
        let Step::Asked(first) = step().await else { panic!("nothing asked") };
        assert_eq!((first.len(), step().await), (2, Step::Waits));
        let seq = if stop_on_failure { 1 } else { 10 };
        fixture.says(&agent, seq, result(first[0], Outcome::Verified)).await;
        assert_eq!(step().await, Step::Waits);
        fixture.says(&agent, seq + 1, result(first[1], Outcome::Verified)).await;
        let Step::Asked(second) = step().await else { panic!("nothing asked") };
        fixture.says(&agent, seq + 2, result(second[0], Outcome::Unverified)).await;
        let after = step().await;
        let (record, items) = fixture.store.bulk(wish.id).await.expect("read").expect("stored");
        let states: Vec<_> = items.iter().map(|item| item.outcome.as_deref()).collect();
        if stop_on_failure {
            assert_eq!((after, record.state.as_str()), (Step::Ended, "stopped"));
            assert_eq!(states, [Some("verified"), Some("verified"), Some("unverified"), None]);
            assert_eq!((record.total, record.ended, record.verified), (4, 3, 2));
            assert_eq!(step().await, Step::Waits, "it has ended");
        } else {
            let Step::Asked(last) = after else { panic!("nothing asked") };
            assert!(fixture.store.cancel_bulk(wish.id, "bob", NOW_MS).await.expect("cancelled"));
            assert!(!fixture.store.cancel_bulk(wish.id, "bob", NOW_MS).await.expect("asked"));
            fixture.says(&agent, seq + 3, result(last[0], Outcome::Verified)).await;
            assert_eq!(step().await, Step::Waits);
        }
    }
    assert_eq!(fixture.store.running_bulks().await.expect("read"), Vec::<Uuid>::new());
    let audit = fixture.audit().await;
    let bulks: Vec<_> = audit.iter().filter(|record| record.action == "bulk.container.restart").collect();
    assert_eq!(bulks.iter().map(|record| record.outcome.as_str()).collect::<Vec<_>>(), ["cancelled", "stopped"]);
    assert!(audit.iter().filter(|record| record.action == "check").all(|record| record.bulk_id.is_some()));
}
