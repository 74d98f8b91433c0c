//! What is done to containers of a real Docker, and what is said of it.

mod compose;
mod effects;
mod host;
mod pull;
mod verbs;

use fleetlight_tests::docker::Docker;
use host::Host;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn containers_of_a_real_docker() {
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(why) => return println!("SKIPPED: commands on containers of a real Docker: {why:#}"),
    };
    let host = Arc::new(Host::new(docker).await);
    // Each has containers of its own; waiting is most of it.
    let mut cases = tokio::task::JoinSet::new();
    macro_rules! cases {
        ($($module:ident::$case:ident),* $(,)?) => {$({
            let host = Arc::clone(&host);
            cases.spawn(async move {
                let began = std::time::Instant::now();
                $module::$case(&host).await;
                println!("{}: {:?}", stringify!($case), began.elapsed());
            });
        })*};
    }
    cases![
        verbs::a_restart_is_verified_once_it_has_held,
        verbs::start_and_stop_say_what_was_so_already,
        verbs::kill_ends_one_that_ignores_signals,
        verbs::pause_and_unpause,
        verbs::remove_wants_it_stopped,
        verbs::what_the_policy_denies_is_refused,
        verbs::another_container_than_the_asker_saw_is_refused,
        verbs::a_command_that_does_not_exist_fails_in_dockers_words,
        verbs::a_stop_and_a_wait_can_be_cancelled,
        effects::one_that_dies_after_three_seconds_is_not_verified,
        effects::last_lines_obey_the_policy,
        effects::one_that_dies_and_is_started_again_is_not_verified,
        effects::one_that_died_between_two_looks_is_not_verified,
        effects::a_crash_loop_can_be_restarted_for_good,
        effects::one_that_becomes_healthy_is_verified,
        effects::one_never_healthy_is_told_with_its_probe,
        pull::pull_from_a_real_registry,
        pull::a_pull_can_be_cancelled,
        compose::compose_of_a_real_project,
    ];
    let mut failed = Vec::new();
    while let Some(ended) = cases.join_next().await {
        failed.extend(ended.err());
    }
    assert!(failed.is_empty(), "{failed:?}");
}
